"""TigerVNC's own viewer on an Xvfb: its pixels are read from the memory of the Xvfb.

The viewer uses lossless Tight, and its defaults otherwise. Without a window manager its window has
no frame.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

import numpy as np

from .xserver import XServer, started, xserver

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

    def __init__(self, server: XServer, width: int, height: int) -> None:
        self.pixels: np.ndarray = server.pixels[:height, :width]
        self.key = server.key


@contextlib.contextmanager
def tiger(host: str, port: int, width: int, height: int) -> Iterator[Tiger]:
    """Run the viewer, and yield it when it shows something; *host* and *port* are the server's."""
    with (
        tempfile.TemporaryDirectory(prefix="kju-bench-") as home,
        xserver(width + AROUND, height + AROUND) as server,
        started(
            ["xtigervncviewer", *OPTIONS, f"-display={server.display}", f"{host}::{port}"],
            environment=os.environ | {"HOME": home},
        ),
    ):
        viewer = Tiger(server, width, height)
        _place(server)
        end = time.monotonic() + PATIENCE
        while not viewer.pixels[..., :3].any():
            if time.monotonic() > end:
                raise TimeoutError("TigerVNC's viewer shows nothing")
            time.sleep(0.01)
        yield viewer


def _place(server: XServer) -> None:
    """Move the viewer's window to the corner, and focus it."""
    words = ["search", "--sync", "--onlyvisible", "--name", "TigerVNC$"]
    server.do(*words, "windowmove", "--sync", "%1", "0", "0", "windowfocus", "--sync", "%1",
              "mousemove", "600", "700", seconds=PATIENCE)  # fmt: skip
