"""Machines on many computers, on a Ray cluster. It needs the extra ``fleet``.

`kju.aio.fleet` has the same names for asyncio.

| module | holds |
|---|---|
| ``opening`` | `open`, `Fleet`, `FleetMachine`; generated from ``aio`` |
| ``cluster`` | a program's connection to a fleet on Ray |
| ``connecting`` | the connection to a Ray cluster |
| ``machine_tasks``, ``near``, ``beside`` | what runs beside a machine |
| ``actors`` | the controller and the keepers as actors of Ray |
| ``controller``, ``roster``, ``records``, ``change_log`` | the controller, and its decisions |
| ``keeper``, ``keeping`` | the keeper of a node, and its decisions |
| ``hosts`` | hosts with a lease, and their renewals |
| ``placement`` | which node gets a machine |
| ``images`` | the images of machines: found on a node, or copied to it |
| ``bases`` | the bases of forks: used where they lie, or copied to a node |
| ``specs``, ``messages`` | the machines of a launch; messages of controller and keepers |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .bases.source import FleetBase
from .messages import FleetState, MachineStatus

if TYPE_CHECKING:
    from .opening import Fleet, FleetMachine, open

__all__ = ["Fleet", "FleetBase", "FleetMachine", "FleetState", "MachineStatus", "open"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    # The controller, the keepers and the tests of their decisions do not need Ray's import.
    if name in ("Fleet", "FleetMachine", "open"):
        from . import opening

        return getattr(opening, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
