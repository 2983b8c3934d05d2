"""The times at which one viewer gets pixels: as often as it looks.

Rules:

- A viewer that looks twice a second gets two *updates* a second. An update is one or more messages
  with the newest content of everything that has changed. Nothing is kept between two updates.
- An update ends when the viewer was sent all changes up to the version that the screen had at its
  beginning, or the owner says so. So an update of a screen that changes all the time ends.
- A viewer that lacks something (it is new, or a message was lost) gets it at once, at any rate.
- A change after a longer time without one is sent at once, and so is each change for
  `ANSWER_TIME` after an input of the viewer: it may be the answer.
"""

from __future__ import annotations

from .messages import CursorUpdate, ModeUpdate, Numbered, Segment

#: Looks per second at which a viewer without a picture counts, if it does not look: it gets one.
FIRST_LOOK_RATE = 1.0
#: Seconds without a message from a viewer, or to it, until it is sent a ping.
QUIET_TIME = 1.0
#: The same for a viewer that looks at the other rate at most, and accepts it
#: (`SessionHello.rare_pings`): a wall has dozens of such viewers, and each ping wakes both ends.
_SLOW_QUIET_TIME, _SLOW_RATE = 5.0, 10.0
#: Seconds after an input in which each change is sent at once. Nearly all guests answer sooner.
ANSWER_TIME = 0.1
#: Updates per second: a lower rate counts as this one. Its inverse must be a time.
_MIN_RATE = 0.001


def quiet_time(rate: float | None, *, rare_pings: bool = True) -> float:
    """Return the seconds without a message until a viewer is sent a ping.

    Args:
        rate: The viewer's looks per second; None for the sender's own pace.
        rare_pings: The viewer accepts longer times.
    """
    is_slow = rare_pings and rate is not None and rate <= _SLOW_RATE
    return _SLOW_QUIET_TIME if is_slow else QUIET_TIME


class UpdatePace:
    """The updates of one viewer.

    Attributes:
        rate: Updates per second; 0 for none; None for no limit.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        #: The version that ends the present update; None between two updates.
        self._target: int | None = 1
        self._due = self._hasty_until = 0.0
        self._has_picture = False

    @property
    def look_rate(self) -> float | None:
        """The rate at which the screen must be published for this viewer."""
        return FIRST_LOOK_RATE if self.rate == 0 and not self._has_picture else self.rate

    @property
    def due(self) -> float | None:
        """The time from which the next update may begin; None if no limit holds it back."""
        return self._due if self.rate and self._target is None else None

    @property
    def is_between(self) -> bool:
        """True if the next pixels begin an update."""
        return self.rate is not None and self._target is None

    def require(self, version: int = 1) -> None:
        """Begin an update at once, up to a version: the viewer lacks something."""
        self._target = max(version, self._target or 1)

    def allows(self, now: float) -> bool:
        """Return whether the viewer may get pixels now."""
        if self.rate is None or self._target is not None:
            return True
        return self.rate > 0 and (now >= self._due or now < self._hasty_until)

    def hasten(self, now: float) -> None:
        """Send each change at once for a while: the viewer has sent an input."""
        self._hasty_until = now + ANSWER_TIME

    def finish(self) -> None:
        """End the update: all of it was sent, and the viewer has a picture."""
        if self._has_picture:
            self._target = None

    def record(self, message: Numbered | None, version: int, now: float) -> None:
        """Record the message that was made while pixels were allowed.

        Args:
            message: The message; None if there was nothing to send.
            version: The screen's version before it was made.
            now: Seconds.
        """
        complete = message.complete_version if isinstance(message, Segment) else 0
        self._has_picture = self._has_picture or complete > 0
        if self._target is None and isinstance(message, ModeUpdate | Segment | CursorUpdate):
            self._target = version
            self._due = now + 1 / max(self.rate, _MIN_RATE) if self.rate else now
        has_target = 0 < complete >= (self._target or 0)
        if has_target or (message is None and self._has_picture):
            self._target = None
