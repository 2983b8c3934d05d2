"""The machines on the pictures of the app: real guests, each started when it is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import displays  # first: it says what is missing
import numpy as np
import pytest
from displays import KJU, SECONDS
from support import guests

import kju
from kju.desktop.machines.remote_addresses import (
    RemoteAddress,
    addresses_folder,
    write_addresses,
)
from kju.errors import KjuError, MachineExistsError


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Machines:
    """The machines of the pictures, each started when a picture first needs it.

    They are paused while no picture needs them: so the next one boots faster.

    Args:
        folder: A folder for their files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._started: set[str] = set()
        self._address = ""
        #: The environment of the other computer.
        self._far = os.environ | displays.homes(folder / "far")
        self._far["PYTHONPATH"] = displays.PYTHONPATH
        self._far_names: set[str] = set()

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._started):
            with contextlib.suppress(KjuError):
                self.stop(name)
        self._stack.close()

    @contextlib.contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Let machines run meanwhile, except the one of the name `paused`."""
        running = [name for name in names if self.ready(name) and name != "paused"]
        for name in running:
            with kju.attach(name) as machine:
                machine.resume()
        try:
            yield
        finally:
            for name in self._started.intersection(running):
                with kju.attach(name) as machine:
                    machine.pause()

    def ready(self, name: str) -> bool:
        """Start a machine and pause it when it has drawn its screen; a second call does nothing.

        Returns:
            False if its guest is missing; a message says so.
        """
        if name in self._started:
            return True
        try:
            image, options = KINDS[name]()
        except pytest.skip.Exception as error:
            say(f"without {name}: {error}")
            return False
        if image:
            image = shutil.copyfile(image, self._folder / f"{name}.qcow2")
        with contextlib.suppress(MachineExistsError):  # one that was stopped is started again
            kju.define(name, image, **options)
        with kju.start(name, detach=True) as machine:
            self._started.add(name)
            PREPARE.get(name, until_still)(machine)
            machine.pause()
        return True

    def stop(self, name: str, *, kill: bool = False) -> None:
        """Stop a machine that was started; or kill its QEMU."""
        self._started.discard(name)
        with kju.attach(name) as machine:
            if kill:
                os.kill(machine.info()["qemu"]["pid"], signal.SIGKILL)
                machine.wait_ended(timeout=SECONDS)
            else:
                machine.stop()

    def remote(self) -> str:
        """Serve the machine `lab` as another computer does; return the address.

        The other computer is another user's folders, over loopback.
        """
        if self._address:
            return self._address
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._address = f"localhost:{free.getsockname()[1]}"
        self.run_far({"lab": guests.invaders()})
        command = [*KJU, "serve", "--all", "--listen", self._address]
        serve = subprocess.Popen(command, env=self._far)
        self._stack.callback(serve.wait)
        self._stack.callback(serve.terminate)
        write_addresses(addresses_folder(), [RemoteAddress(self._address)])
        return self._address

    def run_far(self, machines: Mapping[str, Sequence[str]]) -> None:
        """Start machines of these names and arguments on the other computer, if they are not there.

        They end with this object.
        """
        for name, arguments in machines.items():
            if name in self._far_names:
                continue
            self._far_names.add(name)
            command = [*KJU, "run", "--detach", "--name", name, "--", *arguments]
            subprocess.run(command, env=self._far, check=True, capture_output=True)
            stop = [*KJU, "stop", "--now", name]
            self._stack.callback(
                subprocess.run, stop, env=self._far, capture_output=True, check=False
            )

    def nine(self) -> contextlib.AbstractContextManager[None]:
        """Let the machines of the wall of nine run; `end_two` stops two of them."""
        for name in RUNNING:
            self.ready(name)
        self.remote()
        return self.running(*RUNNING)

    def end_two(self) -> None:
        """Stop one of the nine and kill another: the app that runs keeps their last pictures."""
        for name in {"archive", "build"} & self._started:
            self.stop(name, kill=name == "build")


def use_linux(machine: kju.Machine) -> None:
    """Log in, look at something, and save snapshots that branch."""
    screen, keyboard, keep = machine.screen, machine.keyboard, machine.snapshots
    screen.wait_text("login:", timeout=SECONDS)
    keep.save("installed")
    keyboard.type("root\n")
    screen.wait_text("root@kju", timeout=SECONDS)
    keyboard.type("clear; df -h\n")
    screen.wait_text("Mounted on", timeout=SECONDS)
    keep.save("disk-check")
    keep.load("installed")
    keyboard.type("root\n")
    screen.wait_text("root@kju", timeout=SECONDS)
    keep.save("logged-in")
    keyboard.type("clear; uname -srm; cal; free -m\n")
    screen.wait_text("Swap:", timeout=SECONDS)
    screen.wait_stable(1, timeout=SECONDS)
    keep.save("before-update")


def until_drawn(machine: kju.Machine) -> None:
    """Wait until a guest that never rests has drawn."""
    machine.screen.wait_text("Memtest86", timeout=SECONDS)


def until_still(machine: kju.Machine) -> None:
    """Wait until a guest has drawn and rests."""
    machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=SECONDS)
    machine.screen.wait_stable(8, timeout=SECONDS)


def until_bright(machine: kju.Machine) -> None:
    """Wait until a graphical desktop is there, and rests."""
    machine.screen.wait_for(lambda frame: (frame[..., :3] > 150).mean() > 0.3, timeout=SECONDS)
    machine.screen.wait_stable(3, timeout=SECONDS)


def until_game(machine: kju.Machine) -> None:
    """Wait until invaders are on the screen: many pixels with more green than red."""

    def shows_game(frame: np.ndarray) -> bool:
        pixels = np.asarray(frame).astype(int)
        return int((pixels[..., 1] > pixels[..., [0, 2]].min(axis=2) + 60).sum()) > 800

    machine.screen.wait_for(shows_game, timeout=SECONDS)


def linux() -> tuple[Path, dict[str, object]]:
    """The sample guest, with a small screen."""
    size = ["-global", "VGA.xres=800", "-global", "VGA.yres=600"]
    return guests.sample(), {"memory": "256M", "args": ["-accel", "tcg", *size]}


#: Each machine's image, if it is copied, and the other options of its definition.
KINDS: dict[str, Callable[[], tuple[Path | None, dict[str, object]]]] = {
    "linux": linux,
    "installer": lambda: (None, {"args": guests.installer("vga=0x314")}),
    "grub": lambda: (None, {"args": guests.grub()}),
    "invaders": lambda: (None, {"args": guests.invaders()}),
    "memtest": lambda: (None, {"args": guests.memtest()}),
}
KINDS |= {"paused": KINDS["invaders"], "archive": KINDS["grub"]}
KINDS |= {"build": KINDS["memtest"], "trial": KINDS["memtest"]}
#: What each does before it can be seen; the others wait until their screen is still.
PREPARE = {
    "linux": use_linux,
    "installer": until_bright,
    **dict.fromkeys(("invaders", "paused"), until_game),
    **dict.fromkeys(("memtest", "build", "trial"), until_drawn),
}
RUNNING = (
    "linux", "installer", "grub", "memtest", "invaders", "paused", "archive", "build",
)  # fmt: skip
