"""Protection against replayed messages: each number is accepted once.

Source:
    RFC 4303, 3.4.3 (the sliding window of an anti-replay service).
"""

from __future__ import annotations

#: How far a number may be behind the newest one. Reliable messages wait for a stalled link while
#: others overtake them.
REPLAY_SPAN = 4096


class ReplayGuard:
    """The message numbers that were received.

    Args:
        after: Numbers up to this one are not accepted.
    """

    def __init__(self, after: int = 0) -> None:
        self._first = self._newest = after
        #: Bit n: the number that is n below the newest was received.
        self._seen = 0

    def is_new(self, number: int) -> bool:
        """Return whether a number was not received and is not too old."""
        behind = self._newest - number
        return number > self._first and (
            behind < 0 or (behind < REPLAY_SPAN and not self._seen >> behind & 1)
        )

    def record(self, number: int) -> None:
        """Record that a number was received."""
        ahead = number - self._newest
        if ahead > 0:
            self._newest = number
            self._seen = (self._seen << min(ahead, REPLAY_SPAN) | 1) & ((1 << REPLAY_SPAN) - 1)
        else:
            self._seen |= 1 << -ahead
