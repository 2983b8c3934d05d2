"""Machines on many computers, for asyncio: the names of `kju.fleet`."""

from __future__ import annotations

from ..fleet.aio import *  # noqa: F403
from ..fleet.aio import __all__ as __all__
