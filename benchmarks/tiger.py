"""TigerVNC's own viewer on an Xvfb: its pixels are read from the memory of the Xvfb.

The viewer uses lossless Tight, and its defaults otherwise. Without a window manager its window has
no frame.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kju.emulators.xvfb.xwd import parse

PROGRAMS = ("Xvfb", "xtigervncviewer", "xdotool")
OPTIONS = (
    "-AutoSelect=0",
    "-PreferredEncoding=Tight",
    "-NoJPEG=1",
    "-SecurityTypes=None",
    "-RemoteResize=0",
    "-MenuKey=",  # otherwise it shows the name of that key for seconds
    "-ReconnectOnError=0",
    "-AlertOnFatalError=0",
)
#: Pixels of the screen around the window: a window that just fits gets scroll bars.
AROUND = 100
#: Maximum seconds until the viewer shows something.
PATIENCE = 60.0


def missing() -> str:
    """Return the names of missing programs; empty if all are installed."""
    return " ".join(name for name in PROGRAMS if shutil.which(name) is None)


class Tiger:
    """The viewer.

    Attributes:
        pixels: Its screen: B G R X, the server's picture at the top left.
    """

    def __init__(self, pixels: np.ndarray, display: str) -> None:
        self.pixels = pixels
        self._keys = subprocess.Popen(
            ["xdotool", "-"],
            stdin=subprocess.PIPE,
            env=os.environ | {"DISPLAY": display},
            text=True,
        )

    def key(self, down: bool) -> None:
        """Press or release the key."""
        self._tell(f"{'keydown' if down else 'keyup'} a")

    def _tell(self, line: str) -> None:
        assert self._keys.stdin is not None
        print(line, file=self._keys.stdin, flush=True)

    def close(self) -> None:
        self._keys.communicate(timeout=20)


@contextlib.contextmanager
def tiger(host: str, port: int, width: int, height: int) -> Iterator[Tiger]:
    """Run the viewer, and yield it when it shows something; *host* and *port* are the server's."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="kju-bench-"))
        display = _xvfb(stack, folder, f"{width + AROUND}x{height + AROUND}x24")
        pixels = _memory(Path(folder) / "Xvfb_screen0")[:height, :width]
        command = ["xtigervncviewer", *OPTIONS, f"-display={display}", f"{host}::{port}"]
        _started(stack, command, home=folder)
        _place(display)
        end = time.monotonic() + PATIENCE
        while not pixels[..., :3].any():
            if time.monotonic() > end:
                raise TimeoutError("TigerVNC's viewer shows nothing")
            time.sleep(0.01)
        yield stack.enter_context(contextlib.closing(Tiger(pixels, display)))


def _place(display: str) -> None:
    """Move the viewer's window to the corner, and focus it."""
    words = ["search", "--sync", "--onlyvisible", "--name", "TigerVNC$"]
    does = ["windowmove", "--sync", "%1", "0", "0", "windowfocus", "--sync", "%1",
            "mousemove", "600", "700"]  # fmt: skip
    command = ["xdotool", *words, *does]
    subprocess.run(command, env=os.environ | {"DISPLAY": display}, timeout=PATIENCE, check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


def _started(
    stack: contextlib.ExitStack, command: list[str], *, home: str = "", stdout: int | None = None
) -> subprocess.Popen[bytes]:
    environment = os.environ | {"HOME": home} if home else None
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=stdout, env=environment)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _xvfb(stack: contextlib.ExitStack, folder: str, size: str) -> str:
    command = [
        "Xvfb",
        "-displayfd",
        "1",
        "-screen",
        "0",
        size,
        "-fbdir",
        folder,
        "-nolisten",
        "tcp",
    ]
    process = _started(stack, command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    number = process.stdout.readline().decode().strip()
    if not number:
        raise RuntimeError("Xvfb did not start")
    return f":{number}"


def _memory(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    place = parse(memory[:4096], len(memory))
    flat = np.frombuffer(memory, np.uint8)[place.offset :]
    shape, strides = (place.height, place.width, 4), (place.stride, 4, 1)
    return np.lib.stride_tricks.as_strided(flat, shape, strides, writeable=False)
