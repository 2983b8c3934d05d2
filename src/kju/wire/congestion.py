"""Congestion control: how many bytes may be in flight to a viewer.

The window is the link's capacity in one round trip, and a little more. So the link is never
empty and no queue grows in front of it: a queued picture is an old picture. The shortest round trip
of the last seconds is the link's. Its rate is an average, because queued data arrives in a burst
that looks faster than any link.

Rules:

- Until the rate stops growing, the window is twice the link's capacity.
- A sample taken while there was nothing more to send counts only if it is higher than the rate.
- If no round trip was as short as the known one for `MIN_TRIP_LIFETIME` seconds, next to nothing is
  sent until a round trip was measured on an empty link.

Source:
    Cardwell et al., BBR: congestion-based congestion control, ACM Queue 14 (5), 2016.
    RFC 6298, 2, and RFC 9002, 5.3 (an overdue acknowledgement).
"""

from __future__ import annotations

from typing import NamedTuple

#: The window in bytes while the rate is unknown, and its minimum. 5,500 bytes are 44 ms of
#: 1 Mbit/s. On such a link the first pictures were 160 ms old with 16,000, 113 ms with 8,000 and
#: 93 ms with 5,500; 4,096 is no better.
INITIAL_WINDOW, MIN_WINDOW = 5_500, 4_096
#: The weight of a new sample in the average rate.
RATE_WEIGHT = 0.2
#: Seconds until the shortest round trip is measured again.
MIN_TRIP_LIFETIME = 5.0
#: The window relative to the link's capacity: while the rate grows, and after that.
STARTUP_GAIN, STEADY_GAIN = 2.0, 1.25
#: The margin after which an acknowledgement is overdue: seconds at least (a busy processor adds
#: 8 ms, p95 - p50 of keys to pixels), and a share of the round trip at least (TCP's own probes take
#: longer). And the timeout while no round trip is known: RFC 9002, 6.2.2.
MIN_MARGIN, TRIP_MARGIN, INITIAL_TIMEOUT = 0.010, 0.25, 0.333
#: Start-up ends after this many round trips in which the rate did not grow by a quarter.
PLATEAU = 3


class Sent(NamedTuple):
    """A message in flight.

    Attributes:
        size: Bytes.
        at: The time when it was sent.
        delivered: The bytes that had been acknowledged by then.
        since: The time of the last acknowledgement by then.
        limited: The window was nearly full, so that more might have been sent.
    """

    size: int
    at: float
    delivered: int
    since: float
    limited: bool


class CongestionWindow:
    """The window to one viewer.

    Attributes:
        in_flight: The bytes in flight.
        rate: Bytes a second; 0 while unknown.
        round_trip: The shortest round trip, seconds; 0 while unknown.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.rate = 0.0
        self.round_trip = 0.0
        self._round_trip_at = 0.0
        self._mean_trip = self._trip_variation = 0.0
        #: When sending stopped to empty the link; 0 at other times.
        self._draining_since = 0.0
        self._delivered = 0
        self._delivered_at = 0.0
        self._peak_rate = 0.0
        self._rounds_without_growth = 0
        self._round_end = 0.0

    def size(self, now: float) -> int:
        """Return the bytes that may be in flight."""
        if self._draining_since:
            return MIN_WINDOW
        if not self._peak_rate:
            return INITIAL_WINDOW
        gain = STARTUP_GAIN if self._rounds_without_growth < PLATEAU else STEADY_GAIN
        return max(MIN_WINDOW, int(gain * self.rate * self.round_trip))

    @property
    def timeout(self) -> float:
        """Seconds after which an acknowledgement is overdue."""
        mean = self._mean_trip
        if not mean:
            return INITIAL_TIMEOUT
        return mean + max(4 * self._trip_variation, TRIP_MARGIN * mean, MIN_MARGIN)

    def send(self, size: int, now: float) -> Sent:
        """Record that a message is sent now."""
        if not self.in_flight:
            self._delivered_at = now
        self.in_flight += size
        limited = self.in_flight * 4 > self.size(now) * 3
        is_old = self.round_trip and now > self._round_trip_at + MIN_TRIP_LIFETIME
        if limited and is_old and not self._draining_since:
            self._draining_since = now
        return Sent(size, now, self._delivered, self._delivered_at, limited)

    def acknowledge(
        self, sent: Sent, now: float, *, lost: bool = False, timed: bool = True
    ) -> None:
        """Record that a message was received, or is known to be lost.

        Args:
            sent: The message.
            now: Seconds.
            lost: It was lost.
            timed: It was sent once, and this acknowledgement names it: the time is a round trip.
        """
        self.in_flight -= sent.size
        if lost:
            return
        self._delivered += sent.size
        self._delivered_at = now
        trip = now - sent.at
        if timed:
            self._update_mean(trip)
        on_empty_link = bool(self._draining_since) and sent.at > self._draining_since
        if not self.round_trip or trip <= self.round_trip or on_empty_link:
            self.round_trip, self._round_trip_at = trip, now
        rate = (self._delivered - sent.delivered) / max(now - sent.since, trip, 1e-6)
        if on_empty_link:
            self._draining_since = 0.0
        elif not self._draining_since and (sent.limited or rate > self.rate):
            self.rate += (rate - self.rate) * (RATE_WEIGHT if self.rate else 1.0)
        if now >= self._round_end and sent.limited:
            self._end_round(now + trip)

    def _update_mean(self, trip: float) -> None:
        if self._mean_trip:
            self._trip_variation += (abs(trip - self._mean_trip) - self._trip_variation) / 4
            self._mean_trip += (trip - self._mean_trip) / 8
        else:
            self._mean_trip, self._trip_variation = trip, trip / 2

    def _end_round(self, next_end: float) -> None:
        self._round_end = next_end
        has_grown = self.rate > self._peak_rate * 1.25
        self._peak_rate = max(self._peak_rate, self.rate)
        self._rounds_without_growth = 0 if has_grown else self._rounds_without_growth + 1
