r"""Machines for asyncio. The names are those of `kju`; what waits is awaited.

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

from ..defined import definition, machines
from .defined import clone, define, remove, start
from .keyboard import Keyboard
from .machine import Machine, attach, launch, mirror
from .pointer import Pointer
from .screen import Screen
from .snapshots import Snapshots
from .surface import Surface

__all__ = [
    "Keyboard",
    "Machine",
    "Pointer",
    "Screen",
    "Snapshots",
    "Surface",
    "attach",
    "clone",
    "define",
    "definition",
    "launch",
    "machines",
    "mirror",
    "remove",
    "start",
]
