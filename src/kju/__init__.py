r"""kju: the fastest way to see and drive a QEMU guest.

A guest's screen is one piece of shared memory: the emulator's side fills it, and any number
of other processes look at it, without a copy and without VNC::

    import kju

    with kju.launch("disk.qcow2") as machine:
        machine.screen.wait(timeout=60)
        machine.keyboard.type("root\n")
        frame = machine.screen.snapshot()  # (height, width, 4) uint8, its own copy

`kju.aio` has the same names for asyncio. Everything is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import aio
    from .client.machine import Machine, Screen, attach, launch, machines
    from .client.surface import Surface
    from .errors import KjuError
    from .geometry import Rect
    from .surface import Change, Mark, State

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
    "launch",
    "machines",
]

_HOME = {
    "Change": "surface",
    "KjuError": "errors",
    "Machine": "client.machine",
    "Mark": "surface",
    "Rect": "geometry",
    "Screen": "client.machine",
    "State": "surface",
    "Surface": "client.surface",
    "attach": "client.machine",
    "launch": "client.machine",
    "machines": "client.machine",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use."""
    from importlib import import_module

    if name in _HOME:
        value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    elif name in ("aio", "errors", "memory", "testing"):
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
