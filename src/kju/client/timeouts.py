"""Timeouts of public calls: seconds, None for no limit, or the default of the machine."""

from __future__ import annotations

import enum
import math
import time
from typing import Final, Literal, TypeAlias

from ..errors import UsageError

#: Seconds that a call may take unless a program sets another default.
DEFAULT_SECONDS = 30.0


class _Marker(enum.Enum):
    DEFAULT_TIMEOUT = enum.auto()

    def __repr__(self) -> str:
        return self.name


#: The value of *timeout* that stands for `default_timeout` of the machine or surface.
DEFAULT_TIMEOUT: Final = _Marker.DEFAULT_TIMEOUT
#: Seconds; None for no limit.
Timeout: TypeAlias = float | Literal[_Marker.DEFAULT_TIMEOUT] | None


def seconds_of(timeout: Timeout, default: float | None) -> float | None:
    """Return the seconds of a timeout, or None for no limit.

    Raises:
        UsageError: *timeout* is negative or not a number.
    """
    if timeout is DEFAULT_TIMEOUT:
        return default
    if timeout is not None and not timeout >= 0:
        raise UsageError(f"timeout must be 0 or more seconds, or None for no limit, not {timeout}")
    # A deadline at infinity is no deadline, and no system call takes one.
    return None if timeout is None or math.isinf(timeout) else timeout


def deadline_of(seconds: float | None) -> float | None:
    """Return the time of `time.monotonic` at which *seconds* from now are over."""
    return None if seconds is None else time.monotonic() + seconds


def seconds_to(deadline: float | None) -> float | None:
    """Return the seconds that are left until a deadline, at least 0; None without one."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())
