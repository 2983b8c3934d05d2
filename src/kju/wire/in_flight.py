"""The numbered messages to one viewer: how many may be in flight, and which are sent again.

Congestion control: the window is the link's capacity in one round trip, and a little more. So the
link is never empty and no queue grows in front of it: a queued picture is an old picture. The
shortest round trip of the last seconds is the link's. Its rate is an average, because queued data
arrives in a burst that looks faster than any link.

- Until the rate stops growing, the window is twice the link's capacity.
- A sample taken while there was nothing more to send counts only if it is higher than the rate.
- If no round trip was as short as the known one for `_MIN_TRIP_LIFETIME` seconds, next to nothing
  is sent until a round trip was measured on an empty link.

Retransmission: the viewer cannot notice that the last message is missing, so the sender sends it
again when the acknowledgement is overdue: a few times, each time later. On a lossy link it sends
the last message twice from the start.

Source:
    Cardwell et al., BBR: congestion-based congestion control, ACM Queue 14 (5), 2016.
    RFC 6298, 2, and RFC 9002, 5.3 (an overdue acknowledgement).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .messages import MAX_MESSAGE, CursorUpdate, LossySegment, Numbered, Ping, Segment
from .steps import PHOTO_OVERHEAD
from .update_pace import QUIET_TIME

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: The window in bytes while the rate is unknown, and its minimum. 5,500 bytes are 44 ms of
#: 1 Mbit/s. On such a link the first pictures were 160 ms old with 16,000, 113 ms with 8,000 and
#: 93 ms with 5,500; 4,096 is no better.
_INITIAL_WINDOW, MIN_WINDOW = 5_500, 4_096
#: The first window of an ordered transport, bytes. TCP itself sends as much before its first
#: acknowledgement: RFC 6928, 2. A first picture of text fits.
_INITIAL_ORDERED = 14_600
#: The weight of a new sample in the average rate.
_RATE_WEIGHT = 0.2
#: Seconds until the shortest round trip is measured again.
_MIN_TRIP_LIFETIME = 5.0
#: The window relative to the link's capacity: while the rate grows, and after that.
_STARTUP_GAIN, _STEADY_GAIN = 2.0, 1.25
#: The margin after which an acknowledgement is overdue: seconds at least (a busy processor adds
#: 8 ms, p95 - p50 of keys to pixels), and a share of the round trip at least (TCP's own probes take
#: longer). And the timeout while no round trip is known: RFC 9002, 6.2.2.
_MIN_MARGIN, _TRIP_MARGIN, INITIAL_TIMEOUT = 0.010, 0.25, 0.333
#: Start-up ends after this many round trips in which the rate did not grow by a quarter.
_PLATEAU = 3
#: Retransmissions of one message before the ping after `QUIET_TIME`. With 10 % packet loss one
#: message in a thousand needs that ping.
MAX_RETRANSMISSIONS = 3
#: The longest message that is retransmitted; instead of a longer one a ping is sent.
_MAX_RETRANSMITTED = 1_000
#: Seconds after a loss in which the last message is sent twice, and seconds until the second time.
#: With 1 % loss a typing user loses one message in 25 s; a later copy can be felt.
_LOSSY_TIME, _ECHO_DELAY = 60.0, 0.015
#: The smallest limit of a message's bytes.
_MIN_ROOM = 2048
#: Bytes of a message's other fields, about.
_OVERHEAD = 40


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

    Args:
        initial: The window in bytes while the rate is unknown.

    Attributes:
        in_flight: The bytes in flight.
        rate: Bytes a second; 0 while unknown.
        round_trip: The shortest round trip, seconds; 0 while unknown.
    """

    def __init__(self, initial: int = _INITIAL_WINDOW) -> None:
        self._initial = initial
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
            return self._initial
        gain = _STARTUP_GAIN if self._rounds_without_growth < _PLATEAU else _STEADY_GAIN
        return max(MIN_WINDOW, int(gain * self.rate * self.round_trip))

    @property
    def timeout(self) -> float:
        """Seconds after which an acknowledgement is overdue."""
        mean = self._mean_trip
        if not mean:
            return INITIAL_TIMEOUT
        return mean + max(4 * self._trip_variation, _TRIP_MARGIN * mean, _MIN_MARGIN)

    def send(self, size: int, now: float) -> Sent:
        """Record that a message is sent now."""
        if not self.in_flight:
            self._delivered_at = now
        self.in_flight += size
        limited = self.in_flight * 4 > self.size(now) * 3
        is_old = self.round_trip and now > self._round_trip_at + _MIN_TRIP_LIFETIME
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
            self.rate += (rate - self.rate) * (_RATE_WEIGHT if self.rate else 1.0)
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


NOT_SENT = Sent(0, 0.0, 0, 0.0, False)


@dataclass
class InFlight:
    """A message that was sent and is not acknowledged.

    Attributes:
        sent: Its size and time.
        message: The message.
        tiles: The tiles that it brings up to date; None after it was written off.
        is_step: It builds on the segments before it.
        is_late: Its acknowledgement was overdue.
    """

    sent: Sent
    message: Numbered
    tiles: npt.NDArray[np.intp] | None = None
    is_step: bool = False
    is_late: bool = False


class OutgoingMessages:
    """The numbered messages that one viewer was sent.

    Args:
        ordered: The transport delivers each once and in order: none is sent again.

    Attributes:
        window: Congestion control.
        credit: The bytes that the viewer allows in flight.
        serial: The serial number of the last message.
        in_flight: The messages that are not acknowledged, by serial number, in order.
        sent_at: The time when anything was sent last, seconds.
    """

    def __init__(self, *, ordered: bool = False) -> None:
        self._is_ordered = ordered
        self.window = CongestionWindow(_INITIAL_ORDERED if ordered else _INITIAL_WINDOW)
        self.credit = 1
        self.serial = 0
        self.in_flight: dict[int, InFlight] = {}
        self.sent_at = 0.0
        self._version = 0
        #: The times at which the last message is sent again.
        self._due: list[float] = []
        self._is_echo_due = False
        self._lost_at = float("-inf")
        self._last_was_late = True

    @property
    def due(self) -> float | None:
        """The time of the next retransmission; None for none."""
        return self._due[0] if self._due else None

    def clear(self) -> None:
        """Forget all messages."""
        self.in_flight.clear()
        self._due.clear()

    def room(self, now: float) -> int:
        """Return the wanted limit of the next message's bytes; 0 if nothing may be sent now."""
        allowed, in_flight = min(self.credit, self.window.size(now)), self.window.in_flight
        if in_flight and in_flight >= allowed:
            return 0
        return min(max(_MIN_ROOM, allowed - in_flight), MAX_MESSAGE - 200)

    def send(self, made: InFlight, now: float) -> Numbered:
        """Record a new message, and return it."""
        message = made.message
        self.serial = message.serial
        size = _OVERHEAD
        if isinstance(message, Segment):
            self._version = message.version
            size += len(message.data)
            if isinstance(message, LossySegment):
                size += sum(len(photo.data) + PHOTO_OVERHEAD for photo in message.photos)
        elif isinstance(message, CursorUpdate) and message.shape:
            size += len(message.shape)
        made.sent = self.window.send(size, now)
        self.in_flight[message.serial] = made
        self.sent_at = now
        if self._is_ordered:
            return message
        timeout = self.window.timeout
        self._due = [now + timeout * (2**n - 1) for n in range(1, MAX_RETRANSMISSIONS + 1)]
        is_lossy = now < self._lost_at + _LOSSY_TIME
        self._is_echo_due = is_lossy and timeout > _ECHO_DELAY and size <= _MAX_RETRANSMITTED
        if self._is_echo_due:
            self._due.insert(0, now + _ECHO_DELAY)
        return message

    def ping_time(self, heard_at: float, quiet_time: float) -> float:
        """Return the time of the next ping, if nothing is sent or received before."""
        return max(self.sent_at, heard_at) + quiet_time

    def repeat(
        self,
        now: float,
        heard_at: float,
        losses_known: Callable[[], int],
        quiet_time: float = QUIET_TIME,
    ) -> Numbered | None:
        """Return a retransmission or a ping, if one is due.

        Args:
            now: Seconds.
            heard_at: The time of the viewer's last message.
            losses_known: Returns `Ping.acknowledged`.
            quiet_time: Seconds without a message until a ping is sent.
        """
        if (message := self._retransmit(now, losses_known)) is not None:
            return message
        is_quiet = now >= self.ping_time(heard_at, quiet_time)
        return self._ping(now, losses_known) if is_quiet else None

    def _retransmit(self, now: float, losses_known: Callable[[], int]) -> Numbered | None:
        """Return the last message again, or a ping for a long one, if it is due."""
        last = self.in_flight.get(self.serial)
        if last is None or not self._due or now < self._due[0]:
            return None
        if last.sent.size > _MAX_RETRANSMITTED:
            return self._send_ping(now, losses_known)
        if self._is_echo_due:
            self._is_echo_due = False
        else:
            self._lost_at, last.is_late = now, True
        self._due, self.sent_at = [due for due in self._due if due > now], now
        return last.message

    def _ping(self, now: float, losses_known: Callable[[], int]) -> Numbered:
        """Return a ping: nothing was sent or received for some time."""
        last = self.in_flight.get(self.serial)
        if last is not None and isinstance(last.message, Ping):
            # Repeat the last ping: a viewer that never answers must not fill `in_flight`.
            self.sent_at = now
            return last.message
        return self._send_ping(now, losses_known)

    def _send_ping(self, now: float, losses_known: Callable[[], int]) -> Numbered:
        ping = Ping(self.serial + 1, self._version, losses_known())
        return self.send(InFlight(NOT_SENT, ping), now)

    def acknowledge(self, serial: int, lost: set[int], now: float) -> list[InFlight]:
        """Remove the messages up to a serial number; return those that were lost.

        A lost message that was written off before is not returned again.
        """
        found = []
        for each in [number for number in self.in_flight if number <= serial]:
            message = self.in_flight.pop(each)
            is_lost = each in lost
            timed = each == serial and self._is_timed(message)
            self.window.acknowledge(message.sent, now, lost=is_lost, timed=timed)
            if is_lost and not (message.is_step and message.tiles is None):
                found.append(message)
        if not self.in_flight:
            self._due.clear()
        return found

    def record_loss(self, now: float) -> None:
        """Count the link as lossy for `_LOSSY_TIME`."""
        self._lost_at = now

    def _is_timed(self, message: InFlight) -> bool:
        """Return whether the time of an acknowledgement is a round trip.

        If the message was late, its copy may have been acknowledged. If two in a row are late, the
        link has become longer and the time counts.
        """
        timed = self._last_was_late or not message.is_late
        self._last_was_late = message.is_late
        return timed
