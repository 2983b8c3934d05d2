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
    from . import aio, report, vision
    from .client.kept import define, start
    from .client.machine import Machine, attach, launch, machines, mirror
    from .client.screen import Screen
    from .client.surface import Surface
    from .errors import KjuError
    from .surface import Change, Mark, State
    from .surface.geometry import Rect

__version__ = "0.1.0"

__all__ = [
    "Change",
    "KjuError",
    "Machine",
    "Mark",
    "Rect",
    "Screen",
    "State",
    "Surface",
    "aio",
    "attach",
    "define",
    "get_include",
    "launch",
    "machines",
    "mirror",
    "report",
    "start",
    "vision",
]

_HOME = {
    "Change": "surface.model",
    "KjuError": "errors",
    "Machine": "client.machine",
    "Mark": "surface.model",
    "Rect": "surface.geometry",
    "Screen": "client.screen",
    "State": "surface.model",
    "Surface": "client.surface",
    "attach": "client.machine",
    "define": "client.kept",
    "launch": "client.machine",
    "machines": "client.machine",
    "mirror": "client.machine",
    "start": "client.kept",
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
