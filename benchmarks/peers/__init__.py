"""The ways to see a guest that are measured against each other, in one form.

A viewer is opened in a process of its own (see viewer.py), with the machine's place. It may be
asked to wait for something new, for the pixels it holds, and for a whole picture.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np

Place = dict[str, str]


class Viewer(Protocol):
    """What each way is asked for."""

    def wait(self) -> None:
        """Sleep until something may be new; a way that is not told of changes asks again."""

    def look(self) -> np.ndarray:
        """The newest pixels it holds, B G R in the first three bytes of each, not copied."""

    def grab(self) -> np.ndarray:
        """A whole picture of now as an array, the way its users get one."""


class Typist(Protocol):
    """A viewer that also presses keys, as its own users do."""

    def key(self, down: bool) -> None:
        """Press or release `KEY`; another thread may be in `wait`."""


class Way(NamedTuple):
    """One way to see a guest.

    Attributes:
        title: As the tables name it.
        module: In this package.
        option: Told to the module.
        machine: Which of rig.py's it looks at: ``kju``, ``vnc`` or ``dbus``.
        needs: What has to be installed for it, of `kju[bench]`.
        keys: Who presses the keys: ``own``, the viewer as its users do; ``kju``, kju's keyboard;
            ``qmp``, an input-send-event, for ways that have no keys of their own.
    """

    title: str
    module: str
    option: str = ""
    machine: str = "vnc"
    needs: str = ""
    keys: str = "own"


#: What is pressed: the letter a, as a keysym (RFC 6143) and as QEMU's key number.
KEY_NAME, KEYSYM, KEY_NUMBER = "a", 0x61, 30

WAYS = {
    "kju": Way("kju", "own", machine="kju", keys="kju"),
    "polled": Way("video memory, polled", "polled", machine="kju", keys="qmp"),
    "vnc-raw": Way("VNC, raw", "vnc", "raw"),
    "vnc-beside": Way("VNC, raw, beside a D-Bus display", "vnc", "raw", "dbus"),
    "vnc-zrle": Way("VNC, ZRLE", "vnc", "zrle"),
    "vnc-tight": Way("VNC, Tight", "vnc", "tight"),
    "vncdotool": Way("vncdotool", "dotool", needs="vncdotool"),
    "asyncvnc": Way("asyncvnc", "asynchronous", needs="asyncvnc"),
    "listener": Way("D-Bus listener", "listener", machine="dbus"),
    "screendump-ppm": Way("screendump, PPM", "screendump", "ppm", keys="qmp"),
    "screendump-png": Way("screendump, PNG", "screendump", "png", keys="qmp"),
    "kju-sync": Way("kju, frame(sync=True)", "own", "sync", "kju", keys="kju"),
}


def open_viewer(way: str, place: Place) -> Viewer:
    """Open one; it holds a picture when this returns."""
    found = WAYS[way]
    module = import_module(f".{found.module}", __package__)
    viewer: Viewer = module.open_viewer(place, found.option)
    return viewer
