"""The numbers of received messages: which are new, repeated, early or lost.

| class | end | numbers |
|---|---|---|
| `AckState` | the viewer's | serial numbers of numbered messages: the content of the next `Ack` |
| `InputQueue` | the sender's | inputs of one viewer, in their order |
| `ReplayGuard` | both | sealed messages: each number is accepted once |

Rules of inputs:

- Each input is carried out once, in the order of the numbers, which begin with 1 without gaps.
- At most `MAX_INPUTS` are kept: inputs that wait for an earlier one, and inputs in progress.

Source:
    RFC 4303, 3.4.3 (the sliding window of an anti-replay service).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PeerError
from .messages import MAX_LOST, ViewerInput

MAX_INPUTS = 64
#: Seconds that an input waits for a missing one. A reliable transport has given that up by then.
MAX_GAP_TIME = 10.0
#: Seconds after which an input is too old to be carried out. A router could otherwise hold back a
#: key and deliver it after its user was told that it failed (`kju.remote.mirror.INPUT_TIMEOUT`,
#: which is longer) and has typed it again.
MAX_AGE = 10.0
#: How far a number may be behind the newest one. Reliable messages wait for a stalled link while
#: others overtake them.
REPLAY_SPAN = 4096


class AckState:
    """The acknowledgement state of one session.

    Attributes:
        last: The highest serial number that was received.
        wants_restart: More was lost than an `Ack` can list: the sender must restart with the mode.
        is_ack_due: An acknowledgement must be sent.
    """

    def __init__(self) -> None:
        self.last = 0
        self.wants_restart = False
        self.is_ack_due = False
        self._gap = 0
        self._lost: dict[int, float] = {}
        self._restart_since: float | None = None
        self._behind_since: float | None = None

    @property
    def lost(self) -> list[int]:
        """The lost serial numbers that the sender has not confirmed to know."""
        return [*self._lost]

    @property
    def missing_since(self) -> float | None:
        """The time since when sent messages or pixels are missing; None if nothing is missing."""
        oldest = next(iter(self._lost.values()), None)
        times = [each for each in (oldest, self._behind_since, self._restart_since) if each]
        return min(times, default=None)

    def fall_behind(self, now: float) -> None:
        """Record that the sender has newer pixels."""
        self._behind_since = self._behind_since or now

    def catch_up(self) -> None:
        """Record that newer pixels were drawn."""
        self._behind_since = None

    def receive(self, serial: int, now: float) -> bool:
        """Record a message, and the gap before it as lost; return False for an old message."""
        if serial <= self.last:
            # The last message again: the acknowledgement was lost.
            self.is_ack_due = self.is_ack_due or serial == self.last
            return False
        self.lose(range(self.last + 1, serial), now)
        self.last, self.is_ack_due = serial, True
        return True

    def lose(self, serials: Sequence[int], now: float) -> None:
        """Record messages that are missing or cannot be used."""
        if not serials:
            return
        self._gap = serials[-1]
        if len(serials) + len(self._lost) > MAX_LOST:
            self.want_restart(now)
        else:
            self._lost.update(dict.fromkeys(serials, now))

    def want_restart(self, now: float) -> None:
        """Request a restart with the mode."""
        self.wants_restart, self._lost = True, {}
        self._restart_since = self._restart_since or now

    def confirm(self, serial: int) -> None:
        """Report the losses up to a serial number no longer: the sender has received them."""
        self._lost = {each: at for each, at in self._lost.items() if each > serial}

    def restart(self, serial: int) -> None:
        """Begin again with a mode: later messages do not depend on earlier ones."""
        self._gap = serial - 1
        if self.wants_restart:
            self.wants_restart, self._lost, self._restart_since = False, {}, None

    def can_use(self, depends_on: int) -> bool:
        """Return whether a segment can be used: see `Segment.depends_on`."""
        return not self.wants_restart and not 0 < depends_on <= self._gap


class InputQueue:
    """The inputs that were received and are not finished.

    Attributes:
        clock_start: The time at which the viewer's clock showed 0, seconds, or a little earlier.
    """

    def __init__(self) -> None:
        self._early: dict[int, ViewerInput] = {}
        self._in_progress: set[int] = set()
        self._last, self._last_at = 0, 0.0
        self.clock_start = 0.0

    def __len__(self) -> int:
        return len(self._early) + len(self._in_progress)

    def add(self, message: ViewerInput, now: float) -> list[ViewerInput]:
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

    def age(self, message: ViewerInput, now: float) -> float:
        """Return the seconds since the viewer sent an input."""
        return now - self.clock_start - message.timestamp / 1000

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
