"""The inputs of one viewer, in their order: the transport may repeat and reorder them.

Rules:

- Each input is carried out once, in the order of the numbers, which begin with 1 without gaps.
- At most `MAX_INPUTS` are kept: inputs that wait for an earlier one, and inputs in progress.
"""

from __future__ import annotations

from ..errors import PeerError
from .messages import Input

MAX_INPUTS = 64
#: Seconds that an input waits for a missing one. A reliable transport has given that up by then.
MAX_GAP_TIME = 10.0
#: Seconds after which an input is too old to be carried out. A router could otherwise hold back a
#: key and deliver it after its user was told that it failed (`kju.remote.mirror.INPUT_TIMEOUT`,
#: which is longer) and has typed it again.
MAX_AGE = 10.0


class InputQueue:
    """The inputs that were received and are not finished.

    Attributes:
        clock_start: The time at which the viewer's clock showed 0, seconds, or a little earlier.
    """

    def __init__(self) -> None:
        self._early: dict[int, Input] = {}
        self._in_progress: set[int] = set()
        self._last, self._last_at = 0, 0.0
        self.clock_start = 0.0

    def __len__(self) -> int:
        return len(self._early) + len(self._in_progress)

    def add(self, message: Input, now: float) -> list[Input]:
        """Add an input; return it and the inputs that have waited for it, to be carried out now.

        Raises:
            PeerError: There are too many, or an input is missing for too long.
        """
        if message.number <= self._last:
            return []
        if message.number > self._last + MAX_INPUTS - len(self._in_progress):
            raise PeerError(
                f"the viewer sent more than {MAX_INPUTS} inputs before one was finished",
                message.number,
            )
        if not self._early:
            self._last_at = now
        self._early[message.number] = message
        ready = []
        while (found := self._early.pop(self._last + 1, None)) is not None:
            self._last, self._last_at = found.number, now
            self._in_progress.add(found.number)
            ready.append(found)
        if self._early and now > self._last_at + MAX_GAP_TIME:
            raise PeerError(f"input {self._last + 1} is missing", self._last + 1)
        return ready

    def age(self, message: Input, now: float) -> float:
        """Return the seconds since the viewer sent an input."""
        return now - self.clock_start - message.at / 1000

    def finish(self, number: int) -> bool:
        """End an input; return whether it was in progress."""
        if number not in self._in_progress:
            return False
        self._in_progress.discard(number)
        return True

    def clear(self) -> None:
        """Drop everything."""
        self._early.clear()
        self._in_progress.clear()
