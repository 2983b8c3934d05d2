"""The machines on the pictures of the app: real guests, each started when it is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import displays  # first: it says what is missing
import numpy as np
import pytest
from displays import KJU, SECONDS, SETTLED
from support import guests

import kju
from kju.desktop.machines.remote_addresses import (
    RemoteAddress,
    addresses_folder,
    write_addresses,
)


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
        self._started: dict[str, kju.Machine] = {}
        self._remote = ""

    def __enter__(self) -> Machines:
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self._started.values():
            with contextlib.suppress(kju.KjuError):
                machine.stop()
        self._stack.close()

    @contextlib.contextmanager
    def running(self, *names: str) -> Iterator[None]:
        """Let machines run meanwhile, except the one of the name `paused`."""
        machines = [found for name in names if (found := self.ready(name)) and name != "paused"]
        for machine in machines:
            machine.resume()
        try:
            yield
        finally:
            for machine in machines:
                with contextlib.suppress(kju.KjuError):  # a scene has stopped it
                    machine.pause()

    def ready(self, name: str) -> kju.Machine | None:
        """Return a machine that has drawn its screen; None, and a message, if its guest is missing.

        It is paused.
        """
        if name not in self._started:
            try:
                image, options = KINDS[name]()
            except pytest.skip.Exception as error:
                say(f"without {name}: {error}")
                return None
            if image:
                image = shutil.copyfile(image, self._folder / f"{name}.qcow2")
            kju.define(name, image, **options)
            machine = self._started[name] = kju.start(name, detach=True)
            PREPARE.get(name, until_still)(machine)
            machine.pause()
        return self._started[name]

    def stop(self, name: str, *, kill: bool = False) -> None:
        """Stop a machine that was started; or kill its QEMU."""
        if machine := self._started.pop(name, None):
            if kill:
                os.kill(machine.info()["qemu"]["pid"], signal.SIGKILL)
                machine.wait_ended(timeout=SECONDS)
            else:
                machine.stop()

    def stopped(self) -> None:
        """A machine that is off, one whose QEMU was killed; the app keeps their last pictures."""
        with (
            self.running("archive", "build"),
            displays.display() as screen,
            screen.program("desktop"),
        ):
            screen.settle("kju", 2 * SETTLED)
            self.stop("archive")
            self.stop("build", kill=True)
            time.sleep(SETTLED)

    def remote(self) -> None:
        """A machine that another computer serves: here another user's folders, over loopback."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"localhost:{free.getsockname()[1]}"
        far = (
            os.environ | displays.homes(self._folder / "far") | {"PYTHONPATH": displays.PYTHONPATH}
        )
        command = [*KJU, "run", "--detach", "--name", "lab", "--", *guests.invaders()]
        subprocess.run(command, env=far, check=True, capture_output=True)
        stop = [*KJU, "stop", "lab"]
        self._stack.callback(subprocess.run, stop, env=far, capture_output=True, check=False)
        serve = subprocess.Popen([*KJU, "serve", "--all", "--listen", address], env=far)
        self._stack.callback(serve.wait)
        self._stack.callback(serve.terminate)
        self._remote = address
        write_addresses(addresses_folder(), [RemoteAddress(address)])

    def nine(self) -> contextlib.AbstractContextManager[None]:
        """Let those of the wall of nine that run do so."""
        for name in RUNNING:
            self.ready(name)
        if not self._remote:
            self.stopped()
            self.remote()
        return self.running(*RUNNING)


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
    **dict.fromkeys(("invaders", "paused"), until_game),
    **dict.fromkeys(("memtest", "build", "trial"), until_drawn),
}
RUNNING = ("linux", "installer", "grub", "memtest", "invaders", "paused")
