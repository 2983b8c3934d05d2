"""How many bytes may be under way to a viewer, told by what its acknowledgements say.

As many as the link moves in one round trip, and a little more, so that it is never empty and
nothing waits in front of it: what waits there is a picture that grows old. The rate is the highest
of the last seconds, the round trip the shortest, as in BBR.

Rules:

- Until the rate stops growing the window is twice what the link holds.
- A rate that the link did not set, because there was nothing more to send, counts only where it
  is higher than the one that is known.
- Now and then the window is half for one round trip, so that the shortest one can be seen.

Source:
    Cardwell et al., BBR: congestion-based congestion control, ACM Queue 14 (5), 2016.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

#: Bytes under way while the rate is not known, and at least: a full message, and a small one.
FIRST, LEAST = 64_000, 4_096
#: Seconds for which a rate is believed, and a round trip.
RATE_LASTS, TRIP_LASTS = 5.0, 30.0
#: Seconds between two looks at the round trip with half a window.
DRAIN = 10.0
#: What the window is of what the link holds: while the rate grows, and after that.
GROWING, STEADY = 2.0, 1.25
#: The rate has stopped growing when it was not a quarter higher for so many round trips.
PLATEAU = 3


class Sent(NamedTuple):
    """A message under way.

    Attributes:
        size: Bytes.
        at: When it was sent.
        delivered: Bytes that had been acknowledged by then.
        since: When the last of them had been.
        limited: Whether more might have been sent, had the window been larger.
    """

    size: int
    at: float
    delivered: int
    since: float
    limited: bool


class Window:
    """The window to one viewer.

    Attributes:
        in_flight: Bytes that are under way.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._delivered = 0
        self._at = 0.0
        self._rates: deque[tuple[float, float]] = deque()
        self._trips: deque[tuple[float, float]] = deque()
        self._best = 0.0
        self._rounds = 0
        self._round_end = 0.0
        self._drained = 0.0

    @property
    def rate(self) -> float:
        """Bytes a second; 0 while it is not known."""
        return self._rates[0][1] if self._rates else 0.0

    @property
    def round_trip(self) -> float:
        """Seconds; 0 while it is not known."""
        return self._trips[0][1] if self._trips else 0.0

    def size(self, now: float) -> int:
        """Bytes that may be under way."""
        holds = self.rate * self.round_trip
        if self._rounds < PLATEAU:
            return max(FIRST, int(GROWING * holds))
        if now < self._drained + self.round_trip:
            return max(LEAST, int(holds / 2))
        if now > self._drained + DRAIN:
            self._drained = now
        return max(LEAST, int(STEADY * holds))

    def send(self, size: int, now: float) -> Sent:
        """So many bytes are sent now."""
        if not self.in_flight:
            self._at = now
        self.in_flight += size
        limited = self.in_flight * 4 > self.size(now) * 3
        return Sent(size, now, self._delivered, self._at, limited)

    def acknowledge(self, sent: Sent, now: float, *, lost: bool = False) -> None:
        """It has come, or is known not to."""
        self.in_flight -= sent.size
        if lost:
            return
        self._delivered += sent.size
        self._at = now
        trip = now - sent.at
        _keep(self._trips, now - TRIP_LASTS, (now, trip), lambda old, new: old >= new)
        rate = (self._delivered - sent.delivered) / max(now - sent.since, trip, 1e-6)
        if sent.limited or rate > self.rate:
            _keep(self._rates, now - RATE_LASTS, (now, rate), lambda old, new: old <= new)
        if now >= self._round_end and sent.limited:
            self._round_end = now + trip
            grown = self.rate > self._best * 1.25
            self._best = max(self._best, self.rate)
            self._rounds = 0 if grown else self._rounds + 1


def _keep(
    kept: deque[tuple[float, float]],
    oldest: float,
    new: tuple[float, float],
    is_beaten: Callable[[float, float], bool],
) -> None:
    """Keep the best of the values first, and behind it what may become the best."""
    while kept and kept[0][0] < oldest:
        kept.popleft()
    while kept and is_beaten(kept[-1][1], new[1]):
        kept.pop()
    kept.append(new)
