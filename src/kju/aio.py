"""kju for asyncio: the names of `kju`, to be awaited where they wait."""

from __future__ import annotations

from .client.aio import Keyboard, Machine, Screen, Surface, attach, launch, machines, mirror, start

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
