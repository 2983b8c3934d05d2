"""How many bytes may be under way to a viewer, told by what its acknowledgements say.

As many as the link moves in one round trip, and a little more, so that it is never empty and
nothing waits in front of it: what waits there is a picture that grows old. The shortest round trip
of the last seconds is the link's; how fast it is, is an average, because what waited somewhere
comes in one piece and looks faster than any link.

Rules:

- Until the rate stops growing the window is twice what the link holds.
- A rate that the link did not set, because there was nothing more to send, counts only where it
  is higher than the one that is known.
- Where no round trip has been as short for `DRAIN` seconds, next to nothing is sent until one has
  been measured on an empty link.

Source:
    Cardwell et al., BBR: congestion-based congestion control, ACM Queue 14 (5), 2016.
    RFC 6298, 2, and RFC 9002, 5.3: when an acknowledgement is late.
"""

from __future__ import annotations

from typing import NamedTuple

#: Bytes under way while the rate is not known, and at least. The first are 44 ms of 1 Mbit/s. What
#: is shown there was 160 ms old at the beginning with 16,000, 113 with 8,000, and is 93 with these;
#: 4,096 are no better.
FIRST, LEAST = 5_500, 4_096
#: What a new rate counts for in the average.
SHARE = 0.2
#: Seconds for which a round trip is believed to be the shortest.
DRAIN = 5.0
#: What the window is of what the link holds: while the rate grows, and after that.
GROWING, STEADY = 2.0, 1.25
#: Seconds that an acknowledgement is late by, at least: what a busy processor adds (p95 - p50 of
#: keys to pixels is 8 ms). Of a round trip, at least: TCP's probes take more. And seconds after
#: which the first is late: RFC 9002, 6.2.2.
LATE, LATER, UNKNOWN = 0.010, 0.25, 0.333
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
        rate: Bytes a second; 0 while it is not known.
        round_trip: Seconds, the shortest; 0 while it is not known.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.rate = 0.0
        self.round_trip = 0.0
        self._usual = self._spread = 0.0
        self._shortest_at = 0.0
        self._draining = 0.0
        self._delivered = 0
        self._at = 0.0
        self._best = 0.0
        self._rounds = 0
        self._round_end = 0.0

    def size(self, now: float) -> int:
        """Bytes that may be under way."""
        if self._draining:
            return LEAST
        if not self._best:
            return FIRST
        gain = GROWING if self._rounds < PLATEAU else STEADY
        return max(LEAST, int(gain * self.rate * self.round_trip))

    @property
    def patience(self) -> float:
        """Seconds until an acknowledgement is late."""
        usual = self._usual
        return usual + max(4 * self._spread, LATER * usual, LATE) if usual else UNKNOWN

    def _took(self, trip: float) -> None:
        if self._usual:
            self._spread += (abs(trip - self._usual) - self._spread) / 4
            self._usual += (trip - self._usual) / 8
        else:
            self._usual, self._spread = trip, trip / 2

    def send(self, size: int, now: float) -> Sent:
        """So many bytes are sent now."""
        if not self.in_flight:
            self._at = now
        self.in_flight += size
        limited = self.in_flight * 4 > self.size(now) * 3
        if limited and self.round_trip and not self._draining and now > self._shortest_at + DRAIN:
            self._draining = now
        return Sent(size, now, self._delivered, self._at, limited)

    def acknowledge(
        self, sent: Sent, now: float, *, lost: bool = False, timed: bool = True
    ) -> None:
        """It has come, or is known not to.

        Args:
            sent: The message.
            now: Seconds.
            lost: It has not come.
            timed: It was sent once, and acknowledged by name: the time is a round trip.
        """
        self.in_flight -= sent.size
        if lost:
            return
        self._delivered += sent.size
        self._at = now
        trip = now - sent.at
        if timed:
            self._took(trip)
        on_empty_link = bool(self._draining) and sent.at > self._draining
        if not self.round_trip or trip <= self.round_trip or on_empty_link:
            self.round_trip, self._shortest_at = trip, now
        rate = (self._delivered - sent.delivered) / max(now - sent.since, trip, 1e-6)
        if on_empty_link:
            self._draining = 0.0
        elif not self._draining and (sent.limited or rate > self.rate):
            self.rate += (rate - self.rate) * (SHARE if self.rate else 1.0)
        if now >= self._round_end and sent.limited:
            self._round_end = now + trip
            grown = self.rate > self._best * 1.25
            self._best = max(self._best, self.rate)
            self._rounds = 0 if grown else self._rounds + 1
