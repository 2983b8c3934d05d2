"""Machines on many computers, for asyncio: the names of `kju.fleet`."""

from __future__ import annotations

from ..bases.source import FleetBase
from ..messages import FleetState, MachineStatus
from .opening import Fleet, FleetMachine, open

__all__ = ["Fleet", "FleetBase", "FleetMachine", "FleetState", "MachineStatus", "open"]
