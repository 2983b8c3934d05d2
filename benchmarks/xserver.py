"""An Xvfb whose pixels are read from its own memory, and a program that presses keys on it."""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kju.emulators.xvfb.xwd import parse


class XServer:
    """One X server.

    Attributes:
        display: Its name, such as ``:5``.
        pid: Its process.
        pixels: Its screen: ``(height, width, 4)`` uint8, B G R X, in its own memory.
    """

    def __init__(self, display: str, pid: int, pixels: np.ndarray) -> None:
        self.display, self.pid = display, pid
        self.pixels = pixels
        # One process for all keys: a start takes 10 ms.
        self._keys = subprocess.Popen(
            ["xdotool", "-"], stdin=subprocess.PIPE, env=self.environment, text=True
        )

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the programs that show something here."""
        unwanted = ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "GDK_BACKEND")
        own = {name: value for name, value in os.environ.items() if name not in unwanted}
        return own | {"DISPLAY": self.display}

    def key(self, down: bool) -> None:
        """Press or release the key A in the focused window."""
        self.tell(f"{'keydown' if down else 'keyup'} a")

    def tell(self, line: str) -> None:
        """Send a command to xdotool."""
        assert self._keys.stdin is not None
        print(line, file=self._keys.stdin, flush=True)

    def do(self, *words: str, seconds: float = 60) -> None:
        """Run one xdotool to its end."""
        subprocess.run(["xdotool", *words], env=self.environment, timeout=seconds, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip

    def close(self) -> None:
        self._keys.communicate(timeout=20)


@contextlib.contextmanager
def xserver(width: int, height: int) -> Iterator[XServer]:
    """Run an X server of this size, without a window manager."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kju-bench-"))
        command = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{width}x{height}x24",
                   "-fbdir", folder, "-nolisten", "tcp"]  # fmt: skip
        process = stack.enter_context(started(command, stdout=subprocess.PIPE))
        assert process.stdout is not None
        number = process.stdout.readline().decode().strip()
        if not number:
            raise RuntimeError("Xvfb did not start")
        pixels = _memory(Path(folder) / "Xvfb_screen0")
        yield stack.enter_context(contextlib.closing(XServer(f":{number}", process.pid, pixels)))


@contextlib.contextmanager
def started(
    command: list[str],
    *,
    environment: dict[str, str] | None = None,
    stdout: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program during the block, then kill it."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _memory(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    place = parse(memory[:4096], len(memory))
    flat = np.frombuffer(memory, np.uint8)[place.offset :]
    shape, strides = (place.height, place.width, 4), (place.stride, 4, 1)
    return np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False)
