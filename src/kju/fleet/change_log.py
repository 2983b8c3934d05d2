"""The newest changes of a fleet's machines, in their order. I/O-free."""

from __future__ import annotations

from ..errors import MachineLostError
from .messages import FleetState, MachineStatus

#: Changes that are kept for those who ask for them.
MAX_CHANGES = 10_000


class ChangeLog:
    """The newest changes of a fleet's machines.

    Args:
        wall: Seconds since the epoch at the zero of the roster's clock.

    Attributes:
        count: The number of all changes.
    """

    def __init__(self, wall: float = 0.0) -> None:
        self._wall = wall
        self.count = 0
        self._kept: list[MachineStatus] = []

    def time(self, now: float) -> float:
        """Return the seconds since the epoch for a time of the roster's clock."""
        return now + self._wall

    def add(self, status: MachineStatus) -> None:
        """Add a change."""
        self._kept.append(status)
        self.count += 1
        del self._kept[:-MAX_CHANGES]

    def since(self, count: int) -> list[MachineStatus]:
        """Return the changes after the first *count*, as far as they are kept."""
        new = self.count - count
        return self._kept[-new:] if new > 0 else []

    def lost(self, name: str, generation: int) -> MachineLostError:
        """Return the error for a start of a machine that is over: where it was, and since when."""
        kept = [s for s in self._kept if (s.name, s.generation) == (name, generation)]
        over = [s for s in kept if s.state.is_over]
        if not kept:
            return MachineLostError(f"start {generation} of {name!r} is over", name, generation)
        last = (over or kept)[-1]
        if any(each.state is FleetState.RUNNING for each in kept):
            text = f"start {generation} of {name!r} is no longer on {last.node}"
        else:
            text = f"the machine {name!r} did not start on {last.node}"
        if last.reason:
            text = f"{text}: {last.reason}"
        when = last.since if over else None
        return MachineLostError(text, name, generation, last.node, when, last.log)
