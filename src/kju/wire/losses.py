"""The serial numbers that a receiver has, and those that it lost: the content of its next `Ack`."""

from __future__ import annotations

from collections.abc import Sequence

from .messages import MAX_LOST


class Losses:
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
    def since(self) -> float | None:
        """The time since when sent messages or pixels are missing; None: none are."""
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
        """Ask for everything again."""
        self.wants_restart, self._lost = True, {}
        self._restart_since = self._restart_since or now

    def confirm(self, serial: int) -> None:
        """Drop losses up to a serial number: the sender knows them, and repairs them."""
        self._lost = {each: at for each, at in self._lost.items() if each > serial}

    def restart(self, serial: int) -> None:
        """Begin again with a mode: later messages do not build on earlier ones."""
        self._gap = serial - 1
        if self.wants_restart:
            self.wants_restart, self._lost, self._restart_since = False, {}, None

    def can_use(self, since: int) -> bool:
        """Return whether a segment that builds on the messages from *since* on can be used."""
        return not self.wants_restart and not 0 < since <= self._gap
