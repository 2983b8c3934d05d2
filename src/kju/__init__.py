r"""kju: the fastest way to see and drive a QEMU guest.

A guest's screen is one piece of shared memory. The emulator's side fills it, and any number of
other processes read it, without a copy and without VNC::

    import kju

    with kju.launch("disk.qcow2") as machine:
        machine.screen.wait(timeout=60)
        machine.keyboard.type("root\n")
        frame = machine.screen.frame()  # (height, width, 3) uint8, RGB

`kju.aio` has the same names for asyncio. It is imported when it is first used.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import acting, agents, aio, errors, memory, report, vision
    from .acting import Answer
    from .client.consumer.frame import Frame
    from .client.forks import ForkBase
    from .client.input_devices import Keyboard, Pointer
    from .client.launching import attach, clone, define, launch, mirror, open_base, remove, start
    from .client.link import DEFAULT_TIMEOUT, Timeout
    from .client.locators import Expectation, Locator, expect
    from .client.machine import Machine
    from .client.planning import plan_launch, plan_start
    from .client.requests import Event, LaunchPlan, Snapshot
    from .client.snapshots import Snapshots
    from .client.surface import Screen, Surface
    from .client.targets import ListedMachine, definition, machines
    from .client.waiting import Events, Screens
    from .errors import KjuError
    from .keys.codes import Lamps
    from .memory.produce import SurfaceProducer
    from .protocol.input_log import Input
    from .protocol.launch_options import DefineOptions, LaunchOptions
    from .protocol.values import Role
    from .store.machine_toml import Definition
    from .surface.formats import PixelFormat
    from .surface.geometry import Area, Rect
    from .surface.model import Change, Cursor, Mark, Mode, State
    from .vision import Found, Match, Needle, ScreenTimeoutError, Text, TextMatch

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_TIMEOUT",
    "Answer",
    "Area",
    "Change",
    "Cursor",
    "DefineOptions",
    "Definition",
    "Event",
    "Events",
    "Expectation",
    "ForkBase",
    "Found",
    "Frame",
    "Input",
    "Keyboard",
    "KjuError",
    "Lamps",
    "LaunchOptions",
    "LaunchPlan",
    "ListedMachine",
    "Locator",
    "Machine",
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
    "acting",
    "agents",
    "aio",
    "attach",
    "clone",
    "define",
    "definition",
    "errors",
    "expect",
    "get_include",
    "launch",
    "machines",
    "memory",
    "mirror",
    "open_base",
    "plan_launch",
    "plan_start",
    "remove",
    "report",
    "start",
    "vision",
]

_HOME = {
    "Answer": "acting",
    "Area": "surface.geometry",
    "Change": "surface.model",
    "Cursor": "surface.model",
    "DEFAULT_TIMEOUT": "client.link",
    "DefineOptions": "protocol.launch_options",
    "Definition": "store.machine_toml",
    "Event": "client.requests",
    "Events": "client.waiting",
    "Expectation": "client.locators",
    "ForkBase": "client.forks",
    "Found": "vision",
    "Frame": "client.consumer.frame",
    "Input": "protocol.input_log",
    "Keyboard": "client.input_devices",
    "KjuError": "errors",
    "Lamps": "keys.codes",
    "LaunchOptions": "protocol.launch_options",
    "LaunchPlan": "client.requests",
    "Locator": "client.locators",
    "Machine": "client.machine",
    "ListedMachine": "client.targets",
    "Mark": "surface.model",
    "Match": "vision",
    "Mode": "surface.model",
    "Needle": "vision",
    "PixelFormat": "surface.formats",
    "Pointer": "client.input_devices",
    "Rect": "surface.geometry",
    "Role": "protocol.values",
    "Screen": "client.surface",
    "ScreenTimeoutError": "vision",
    "Screens": "client.waiting",
    "Snapshot": "client.requests",
    "Snapshots": "client.snapshots",
    "State": "surface.model",
    "Surface": "client.surface",
    "SurfaceProducer": "memory.produce",
    "Text": "vision",
    "TextMatch": "vision",
    "Timeout": "client.link",
    "attach": "client.launching",
    "clone": "client.launching",
    "define": "client.launching",
    "definition": "client.targets",
    "expect": "client.locators",
    "launch": "client.launching",
    "machines": "client.targets",
    "mirror": "client.launching",
    "open_base": "client.launching",
    "plan_launch": "client.planning",
    "plan_start": "client.planning",
    "remove": "client.launching",
    "start": "client.launching",
}

#: Packages and modules that are imported when they are first used.
_PACKAGES = frozenset(
    ("acting", "agents", "aio", "errors", "fleet", "gym", "memory", "report", "serving", "vision")
)


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
    elif name in _PACKAGES:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


if not TYPE_CHECKING:  # for a type checker every name would exist
    __getattr__ = _load


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _check_checkout() -> None:
    """Check the C modules, if this is the package of a checkout."""
    from pathlib import Path

    package = Path(__path__[0])
    if (package.parent.parent / "csrc").exists():
        from .checkout import check

        check(package)


def _is_own_program() -> bool:
    """Check for the kju command and for a host: they import only the modules that they need.

    The first argument is ``-m`` only while Python looks for a module inside kju to run.
    """
    first = sys.argv[0] if getattr(sys, "argv", None) else ""
    return first == "-m" or first.rpartition("/")[2] == "kju"


_check_checkout()
# A program's first attach must not pay for imports; `kju --help` must not pay for NumPy.
if not _is_own_program():
    _load("attach")
