"""The numbered messages to one viewer: in flight, lost, and sent again.

The viewer cannot notice that the last message is missing, so the sender retransmits it when the
acknowledgement is overdue: a few times, each time later. On a lossy link it sends the last message
twice from the start.
"""

from __future__ import annotations

from collections.abc import Callable

from .congestion import CongestionWindow
from .messages import MAX_MESSAGE, Cursor, LossySegment, Numbered, Ping, Segment
from .steps import PHOTO_OVERHEAD
from .viewer_state import NOT_SENT, InFlight

#: Seconds without a message from the viewer, or to it, after which it is asked for one.
QUIET_TIME = 1.0
#: Retransmissions of one message before the ping after `QUIET_TIME`. With 10 % packet loss one
#: message in a thousand needs that ping.
MAX_RETRANSMISSIONS = 3
#: The longest message that is retransmitted; instead of a longer one a ping is sent.
MAX_RETRANSMITTED = 1_000
#: Seconds after a loss in which the last message is sent twice, and seconds until the second time.
#: With 1 % loss a typing user loses one message in 25 s; a later copy can be felt.
LOSSY_TIME, ECHO_DELAY = 60.0, 0.015
#: The smallest limit of a message's bytes.
MIN_ROOM = 2048
#: Bytes of a message's other fields, about.
OVERHEAD = 40


class Outgoing:
    """The numbered messages that one viewer was sent.

    Attributes:
        window: Congestion control.
        credit: The bytes that the viewer allows in flight.
        serial: The serial number of the last message.
        in_flight: The messages that are not acknowledged, by serial number, in order.
        sent_at: The time when anything was sent last, seconds.
    """

    def __init__(self) -> None:
        self.window = CongestionWindow()
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
        return min(max(MIN_ROOM, allowed - in_flight), MAX_MESSAGE - 200)

    def send(self, made: InFlight, now: float) -> Numbered:
        """Record a new message, and return it."""
        message = made.message
        self.serial = message.serial
        size = OVERHEAD
        if isinstance(message, Segment):
            self._version = message.version
            size += len(message.data)
            if isinstance(message, LossySegment):
                size += sum(len(photo.data) + PHOTO_OVERHEAD for photo in message.photos)
        elif isinstance(message, Cursor) and message.shape:
            size += len(message.shape)
        made.sent = self.window.send(size, now)
        self.in_flight[message.serial] = made
        self.sent_at = now
        timeout = self.window.timeout
        self._due = [now + timeout * (2**n - 1) for n in range(1, MAX_RETRANSMISSIONS + 1)]
        is_lossy = now < self._lost_at + LOSSY_TIME
        self._is_echo_due = is_lossy and timeout > ECHO_DELAY and size <= MAX_RETRANSMITTED
        if self._is_echo_due:
            self._due.insert(0, now + ECHO_DELAY)
        return message

    def repeat(
        self, now: float, heard_at: float, losses_known: Callable[[], int]
    ) -> Numbered | None:
        """Return a retransmission or a ping, if one is due.

        Args:
            now: Seconds.
            heard_at: The time of the viewer's last message.
            losses_known: Returns `Ping.heard`.
        """
        return self._retransmit(now, losses_known) or self._ping(now, heard_at, losses_known)

    def _retransmit(self, now: float, losses_known: Callable[[], int]) -> Numbered | None:
        """Return the last message again, or a ping for a long one, if it is due."""
        last = self.in_flight.get(self.serial)
        if last is None or not self._due or now < self._due[0]:
            return None
        if last.sent.size > MAX_RETRANSMITTED:
            return self._send_ping(now, losses_known)
        if self._is_echo_due:
            self._is_echo_due = False
        else:
            self._lost_at, last.is_late = now, True
        self._due, self.sent_at = [due for due in self._due if due > now], now
        return last.message

    def _ping(
        self, now: float, heard_at: float, losses_known: Callable[[], int]
    ) -> Numbered | None:
        """Return a ping, if nothing was sent or received for `QUIET_TIME`."""
        if now - max(self.sent_at, heard_at) < QUIET_TIME:
            return None
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
        """Count the link as lossy for `LOSSY_TIME`."""
        self._lost_at = now

    def _is_timed(self, message: InFlight) -> bool:
        """Return whether the time of an acknowledgement is a round trip.

        If the message was late, its copy may have been acknowledged. If two in a row are late, the
        link has become longer and the time counts.
        """
        timed = self._last_was_late or not message.is_late
        self._last_was_late = message.is_late
        return timed
