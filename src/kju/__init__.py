r"""kju: the fastest way to see and drive a QEMU guest.

A guest's screen is one piece of shared memory: the emulator's side fills it, and any number
of other processes look at it, without a copy and without VNC::

    import kju

    with kju.launch("disk.qcow2") as machine:
        machine.screen.wait(timeout=60)
        machine.keyboard.type("root\n")
        frame = machine.screen.frame()  # (height, width, 3) uint8, RGB

`kju.aio` has the same names for asyncio, and is imported when it is first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import aio, errors, memory, report, vision
    from .client.defined import MachineEntry, clone, define, definition, machines, remove, start
    from .client.frame import Frame
    from .client.keyboard import Keyboard
    from .client.life import Event, Snapshot
    from .client.machine import Machine, attach, launch, mirror
    from .client.pointer import Pointer
    from .client.screen import Screen, Screens
    from .client.snapshots import Events, Snapshots
    from .client.surface import Surface
    from .client.timeouts import DEFAULT_TIMEOUT, Timeout
    from .errors import KjuError
    from .keys.codes import Lamps
    from .memory.produce import SurfaceProducer
    from .protocol.input_log import Input
    from .protocol.values import Role
    from .store.definition import Definition
    from .surface.formats import PixelFormat
    from .surface.geometry import Area, Rect
    from .surface.model import Change, Cursor, Mark, Mode, State
    from .vision import Match, Needle, ScreenTimeoutError, Text, TextMatch

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_TIMEOUT",
    "Area",
    "Change",
    "Cursor",
    "Definition",
    "Event",
    "Events",
    "Frame",
    "Input",
    "Keyboard",
    "KjuError",
    "Lamps",
    "Machine",
    "MachineEntry",
    "Mark",
    "Match",
    "Mode",
    "Needle",
    "PixelFormat",
    "Pointer",
    "Rect",
    "Role",
    "Screen",
    "ScreenTimeoutError",
    "Screens",
    "Snapshot",
    "Snapshots",
    "State",
    "Surface",
    "SurfaceProducer",
    "Text",
    "TextMatch",
    "Timeout",
    "aio",
    "attach",
    "clone",
    "define",
    "definition",
    "errors",
    "get_include",
    "launch",
    "machines",
    "memory",
    "mirror",
    "remove",
    "report",
    "start",
    "vision",
]

_HOME = {
    "Area": "surface.geometry",
    "Change": "surface.model",
    "Cursor": "surface.model",
    "DEFAULT_TIMEOUT": "client.timeouts",
    "Definition": "store.definition",
    "Event": "client.life",
    "Events": "client.snapshots",
    "Frame": "client.frame",
    "Input": "protocol.input_log",
    "Keyboard": "client.keyboard",
    "KjuError": "errors",
    "Lamps": "keys.codes",
    "Machine": "client.machine",
    "MachineEntry": "client.defined",
    "Mark": "surface.model",
    "Match": "vision",
    "Mode": "surface.model",
    "Needle": "vision",
    "PixelFormat": "surface.formats",
    "Pointer": "client.pointer",
    "Rect": "surface.geometry",
    "Role": "protocol.values",
    "Screen": "client.screen",
    "ScreenTimeoutError": "vision",
    "Screens": "client.screen",
    "Snapshot": "client.life",
    "Snapshots": "client.snapshots",
    "State": "surface.model",
    "Surface": "client.surface",
    "SurfaceProducer": "memory.produce",
    "Text": "vision",
    "TextMatch": "vision",
    "Timeout": "client.timeouts",
    "attach": "client.machine",
    "clone": "client.defined",
    "define": "client.defined",
    "definition": "client.defined",
    "launch": "client.machine",
    "machines": "client.defined",
    "mirror": "client.machine",
    "remove": "client.defined",
    "start": "client.defined",
}


def get_include() -> str:
    """Return the folder that a C compiler needs for ``#include <kju/surface.h>``.

    Pass it with ``-I``. The header alone is all that a producer or a consumer in C needs.
    """
    return f"{__path__[0]}/include"


def _load(name: str) -> object:
    """Import a public name from its home."""
    from importlib import import_module

    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name in ("aio", "errors", "memory", "report", "serving", "vision"):
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # a checker must not believe that every name exists
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _is_own_program() -> bool:
    """Whether this process is the kju command or a host: they import what they need.

    ``-m`` stands there only while Python looks for the module it is to run inside kju.
    """
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    return first == "-m" or first.rpartition("/")[2] == "kju"


# A program's first attach must not pay for imports; `kju --help` must not pay for NumPy.
if not _is_own_program():
    _load("attach")
