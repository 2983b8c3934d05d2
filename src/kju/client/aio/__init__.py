r"""Machines for asyncio. The names are those of `kju`; calls that wait are awaited.

For example::

    import kju.aio

    async with await kju.aio.launch("disk.qcow2") as machine:
        await machine.screen.wait(timeout=60)
        await machine.keyboard.type("root\n")
        frame = await machine.screen.frame()

`view`, `changes_since` and properties never wait, so they are not awaited.
Use a machine from one event loop.
"""

from __future__ import annotations

from ..targets import definition, machines
from .forks import ForkBase
from .input_devices import Keyboard, Pointer
from .launching import attach, clone, define, launch, mirror, open_base, remove, start
from .locators import Expectation, Locator, expect
from .machine import Machine
from .planning import plan_launch, plan_start
from .snapshots import Snapshots
from .surface import Screen, Surface

__all__ = [
    "Expectation",
    "ForkBase",
    "Keyboard",
    "Locator",
    "Machine",
    "Pointer",
    "Screen",
    "Snapshots",
    "Surface",
    "attach",
    "clone",
    "define",
    "definition",
    "expect",
    "launch",
    "machines",
    "mirror",
    "open_base",
    "plan_launch",
    "plan_start",
    "remove",
    "start",
]
