"""Logs of input, read and done again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import MachineGoneError, RoleError, UsageError
from ..protocol.input_log import Input, decode, schedule
from ..protocol.messages import Keys, Point
from ..store import log_files

if TYPE_CHECKING:
    from .machine_base import MachineBase


def read(machine: MachineBase[Any, Any, Any, Any]) -> list[Input]:
    """A running machine's log.

    Raises:
        RoleError: This client only views.
        MachineGoneError: The machine has ended, and its log with it.
    """
    if machine.role != "control":
        raise RoleError("a view client may not see what is typed; attach with role='control'")
    if reason := machine.end_reason:
        raise MachineGoneError(reason, machine.name)
    return decode(log_files.read(machine._paths.input_log))


def due(entries: Iterable[Input], speed: float) -> Iterator[tuple[float, Keys | Point]]:
    """What to send, and how many seconds after the first of it.

    Raises:
        UsageError: *speed* is not above 0.
    """
    if not (speed > 0 and math.isfinite(speed)):
        raise UsageError(f"a speed is above 0, such as 1 or 2.5, not {speed}")
    return schedule(entries, speed)
