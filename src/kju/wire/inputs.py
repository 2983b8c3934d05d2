"""The inputs of one viewer: they come more than once, and before those in front of them.

Rules:

- Each is done once, in the order of their numbers, which begin with 1 and leave none out.
- At most `MOST_INPUTS` are kept: such that wait for the one before them, and such that are not
  done yet.
"""

from __future__ import annotations

from ..errors import PeerError
from .messages import Input

MOST_INPUTS = 64
#: Seconds for which an input waits for the one before it: a transport that loses none has given it
#: up by then.
LATEST = 10.0
#: Seconds after which an input is too old to be carried out. A router could otherwise keep a key
#: and release it after its user was told that it failed (`kju.remote.mirror.PATIENCE`, longer than
#: this) and has typed it again.
MAX_AGE = 10.0


class Inputs:
    """What came, and is not done."""

    def __init__(self) -> None:
        self._early: dict[int, Input] = {}
        self._doing: set[int] = set()
        self._last, self._at = 0, 0.0

    def __len__(self) -> int:
        return len(self._early) + len(self._doing)

    def take(self, message: Input, now: float) -> list[Input]:
        """What is to be done now that this has come: it, and what has waited for it.

        Raises:
            PeerError: These are too many, or one has not come for too long.
        """
        if message.number <= self._last:
            return []
        if message.number > self._last + MOST_INPUTS - len(self._doing):
            raise PeerError(
                f"the viewer sent more than {MOST_INPUTS} inputs before one was done",
                message.number,
            )
        if not self._early:
            self._at = now
        self._early[message.number] = message
        wanted = []
        while (found := self._early.pop(self._last + 1, None)) is not None:
            self._last, self._at = found.number, now
            self._doing.add(found.number)
            wanted.append(found)
        if self._early and now > self._at + LATEST:
            raise PeerError(f"input {self._last + 1} has not come", self._last + 1)
        return wanted

    def done(self, number: int) -> bool:
        """Whether this one was being done; it is not any more."""
        if number not in self._doing:
            return False
        self._doing.discard(number)
        return True

    def clear(self) -> None:
        """The session has ended."""
        self._early.clear()
        self._doing.clear()
