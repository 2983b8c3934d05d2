"""The compared viewers of a guest, with one interface.

A viewer is opened in its own process (see viewer.py), with the machine's place. It can wait for a
change, and return its newest pixels or a whole picture.
"""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple, Protocol

import numpy as np

Place = dict[str, str]


class Viewer(Protocol):
    """The interface of each viewer."""

    def wait(self) -> None:
        """Sleep until something may be new; a viewer without notifications polls."""

    def look(self) -> np.ndarray:
        """Return its newest pixels, B G R in the first three bytes of each, without a copy."""

    def grab(self) -> np.ndarray:
        """Return a current whole picture as an array, as its users get one."""


class Typist(Protocol):
    """A viewer that also presses keys, as its own users do."""

    def key(self, down: bool) -> None:
        """Press or release `KEY`; another thread may be in `wait`."""


class Way(NamedTuple):
    """One viewer of a guest.

    Attributes:
        title: Its name in the tables.
        module: Its module in this package.
        option: An argument of the module.
        machine: Its machine in rig.py: ``kju``, ``vnc`` or ``dbus``.
        needs: A package of `kju[bench]` that it needs.
        keys: The source of keys: ``own``, the viewer as its users do; ``kju``, kju's keyboard;
            ``qmp``, an input-send-event, for viewers without keys.
    """

    title: str
    module: str
    option: str = ""
    machine: str = "vnc"
    needs: str = ""
    keys: str = "own"


#: The pressed key: the letter a, as a keysym (RFC 6143) and as QEMU's key number.
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
    """Open a viewer; it has a picture when this returns."""
    found = WAYS[way]
    module = import_module(f".{found.module}", __package__)
    viewer: Viewer = module.open_viewer(place, found.option)
    return viewer
