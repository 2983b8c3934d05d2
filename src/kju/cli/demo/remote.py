"""The demo over a network: the guest's screen and its mirror side by side, and the traffic.

As root, and with iproute2, the sender and the mirror run in two network namespaces with a slow link
between them; otherwise both are processes of this computer.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ...client.launching import attach
from ...client.machine import Machine
from ...client.surface import Screen
from ...errors import KjuError
from ...memory import SurfaceProducer
from .link import SimulatedLink

#: Pixels of the strip below the screens, and between them.
STRIP, GAP = 24, 8
#: Pictures a second of both screens together.
PICTURES = 30
_PORT = 7447


class _Route(NamedTuple):
    """The network between sender and mirror.

    Attributes:
        words: Its description.
        sender: Words before the sender's command, which run it in its namespace.
        mirror: The same for the mirror's command.
        place: The sender's address; empty for this user's own socket.
    """

    words: str
    sender: tuple[str, ...] = ()
    mirror: tuple[str, ...] = ()
    place: str = ""


@contextlib.contextmanager
def _route() -> Iterator[_Route]:
    """Make two network namespaces and a slow link, or use this computer if that is not allowed."""
    with contextlib.ExitStack() as stack:
        try:
            link = stack.enter_context(SimulatedLink())
        except KjuError as error:
            print(f"  {error}: sender and mirror are two processes without a link")
            yield _Route("on one computer")
            return
        place = f"tcp/{link.one.address}:{_PORT}"
        yield _Route(f"over {link.shape.words}", link.one.before, link.other.before, place)


class _Mirrored:
    """A machine and its mirror, drawn side by side in one surface.

    Attributes:
        mirror: The mirror.
        path: The surface's file.
    """

    def __init__(self, machine: Machine, mirror: Machine, words: str, folder: Path) -> None:
        self.mirror = mirror
        self._machine, self._words = machine, words
        self.path = folder / "both.kju"
        self._producer = SurfaceProducer.create(self.path, capacity=16 << 20)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._draw_repeatedly, name="kju-demo", daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> _Mirrored:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        self._producer.close()

    def _draw_repeatedly(self) -> None:
        while not self._ending.wait(1 / PICTURES):
            with contextlib.suppress(KjuError):
                self._draw()

    def _draw(self) -> None:
        left, right = _picture(self._machine.screen), _picture(self.mirror.screen)
        height = max(left.shape[0], right.shape[0])
        width = left.shape[1] + GAP + right.shape[1]
        whole = np.zeros((height + STRIP, width, 4), np.uint8)
        whole[: left.shape[0], : left.shape[1]] = left
        whole[: right.shape[0], left.shape[1] + GAP :] = right
        whole[height:] = _strip(width, self._captions())
        mode = self._producer.mode
        if (mode.width, mode.height) == (width, height + STRIP):
            self._producer.compare(whole)
        else:
            self._producer.set_mode(width, height + STRIP, source=whole)

    def _captions(self) -> tuple[str, str]:
        """Return the line below each screen."""
        count = int(self.mirror.info()["mirror"]["received"])
        seconds = time.monotonic() - self._began
        return (
            "the guest's own screen",
            f"its mirror: {self._words}; {count / 1000:,.0f} kB received,"
            f" {count / 1000 / seconds:,.1f} kB/s",
        )

    def words(self) -> str:
        """Describe the traffic for the user."""
        count, seconds = (
            int(self.mirror.info()["mirror"]["received"]),
            time.monotonic() - self._began,
        )
        return f"{count:,} bytes in {seconds:.0f} s, {self._words}"


def _picture(screen: Screen) -> np.ndarray:
    try:
        return np.asarray(screen.frame(pixels="bgrx"))
    except KjuError:
        return np.full((400, 640, 4), 40, np.uint8)


def _strip(width: int, words: tuple[str, str]) -> np.ndarray:
    image = Image.new("RGB", (width, STRIP), (32, 32, 48))
    draw = ImageDraw.Draw(image)
    draw.text((6, 6), words[0], (255, 255, 255))
    draw.text((width // 2 + 6, 6), words[1], (255, 255, 255))
    out = np.zeros((STRIP, width, 4), np.uint8)
    out[..., :3] = np.asarray(image)[..., ::-1]
    return out


@contextlib.contextmanager
def mirrored(machine: Machine) -> Iterator[_Mirrored]:
    """Serve the machine, mirror it across a link, and put both screens into one surface.

    Raises:
        KjuError: It cannot be served or mirrored.
    """
    with contextlib.ExitStack() as stack:
        between = stack.enter_context(_route())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kju-demo-")))
        address = stack.enter_context(_served(machine.name, between))
        name = _mirror(address, between)
        mirror = attach(name)
        stack.callback(_stop, mirror)
        print(f"  sender   kju serve {machine.name}: {address}")
        print(f"  mirror   {name}, {between.words}", flush=True)
        yield stack.enter_context(_Mirrored(machine, mirror, between.words, folder))


@contextlib.contextmanager
def _served(name: str, between: _Route) -> Iterator[str]:
    words = ["--listen", between.place, "--insecure"] if between.place else []
    command = [*between.sender, *_kju(), "serve", name, "--prefix", "demo", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, errors="replace"
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("serving "):
            raise KjuError(f"kju serve has ended with status {process.wait(10)}")
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout:
            process.stdout.close()


def _mirror(address: str, between: _Route) -> str:
    words = ["--connect", between.place, "--insecure"] if between.place else []
    name = f"mirror-{os.getpid()}"
    command = [*between.mirror, *_kju(), "mirror", address, name, *words]
    done = subprocess.run(command, capture_output=True, errors="replace", timeout=60, check=False)
    if done.returncode:
        raise KjuError(done.stderr.strip().removeprefix("kju: ") or "kju mirror has failed")
    return name


def _stop(mirror: Machine) -> None:
    with contextlib.suppress(KjuError):
        mirror.stop()


def _kju() -> list[str]:
    return [sys.executable, "-P", "-m", "kju.cli"]
