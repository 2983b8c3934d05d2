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

from .kept import start
from .keyboard import Keyboard
from .machine import Machine, attach, launch, machines, mirror
from .screen import Screen
from .surface import Surface

__all__ = [
    "Keyboard",
    "Machine",
    "Screen",
    "Surface",
    "attach",
    "launch",
    "machines",
    "mirror",
    "start",
]
