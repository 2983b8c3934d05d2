"""Waits for the screen: conditions, and the times at which they are checked.

A `Condition` checks one frame. A `Watch` decides about the times: at once, when damage touches the
region, and at a time that the condition requests. Neither sleeps nor reads a clock. A driver
(`kju.client.waits`, and its asyncio form) repeats `Watch.next` and does the step that it returns:

- `Look`: take a whole frame of one version, then ask for the changes since the watch's `mark`, and
  pass both to `Watch.check`; or pass the reason for having no frame to `Watch.absent`.
- `Sleep`: sleep, and pass the change that ended the sleep to `Watch.changed`.
- `Met` and `TimedOut`: stop.

A step that was not done is returned again. The changes may be newer than the frame, but the mark
becomes the frame's: pixels that were drawn in between are reported again, and no damage is lost
during a check. One more check follows, however much was drawn meanwhile.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..errors import UsageError
from ..surface import NOTHING_TAKEN, Change, Mark, Mode
from ..surface.geometry import Rect, Region
from .areas import check_rect, cut_out
from .timeout import Best, ScreenTimeoutError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

T = TypeVar("T")

# A producer without a picture may get one without announcing damage, so it is checked this often.
_ABSENT_SECONDS = 0.5
# Matching a needle takes 100 ms and reading a text 400, and the guest may need the same processor:
# the pause limits a wait to half a core while the whole screen changes. It has a limit itself, as
# the first check also imports libraries.
_REST_SECONDS = 0.5


class Seen(NamedTuple):
    """One frame for a condition.

    Attributes:
        pixels: The whole frame: B G R X, or one byte a pixel. It does not change.
        region: The rectangle to check; inside the frame.
        damage: Rectangles in the region that may differ from the frame before; None is everything.
        now: Seconds, of a monotonic clock.
        mark: The frame's mark.
        mode: Its mode.
    """

    pixels: Pixels
    region: Rect
    damage: tuple[Rect, ...] | None
    now: float
    mark: Mark
    mode: Mode

    @property
    def part(self) -> Pixels:
        """The region's pixels."""
        return cut_out(self.pixels, self.region)


class Condition(abc.ABC, Generic[T]):
    """A condition of the screen. It may keep state from one frame to the next.

    Attributes:
        what: Its name in messages: "the text 'login:'".
        again: Time of the next check without a change, on the clock of `Seen.now`; None: none.
        ignored: Rectangles of the region that it ignores, for pictures.
        needs_all: Before the next check, the producer must publish all that the guest has drawn.
    """

    what: str = "a condition"
    again: float | None = None
    needs_all: bool = False
    ignored: tuple[Rect, ...] = ()

    @abc.abstractmethod
    def check(self, seen: Seen) -> T | None:
        """Check a frame; return the result, or None where the condition is not met."""

    def best(self, now: float) -> Best:
        """Return the best match so far, for the error of a time-out at *now*."""
        return Best()


class Look(NamedTuple):
    """A step of a wait: check a new frame."""


class Sleep(NamedTuple):
    """A step of a wait: sleep.

    Attributes:
        seconds: The longest time; None is no limit.
        since: A change after this mark ends the sleep; None: no change does.
    """

    seconds: float | None
    since: Mark | None


@dataclass(frozen=True, slots=True)
class Met(Generic[T]):
    """The last step of a wait: the condition was met.

    Attributes:
        result: The condition's result.
    """

    result: T


class TimedOut(NamedTuple):
    """The last step of a wait: its time has passed.

    Attributes:
        error: To be raised.
    """

    error: ScreenTimeoutError


class Watch(Generic[T]):
    """One wait: the times of its checks, and its result.

    Attributes:
        mark: The mark of the last frame that was checked.
        frame: The last frame that was checked, whole.
        result: The condition's result; None until it was met.
    """

    def __init__(
        self,
        condition: Condition[T],
        region: Rect | None,
        timeout: float | None,
        now: float,
        since: Mark = NOTHING_TAKEN,
    ) -> None:
        """Begin to wait.

        Args:
            condition: The condition.
            region: The rectangle to check, in pixels of the surface; None is everything.
            timeout: Seconds from now; None is no limit.
            now: Seconds, of a monotonic clock.
            since: Mark of the state that the condition knows already.

        Raises:
            UsageError: The region is empty or the timeout negative.
        """
        if region is not None:
            region = check_rect(region, "the region")
        if timeout is not None and not timeout >= 0:
            raise UsageError(f"timeout must be at least 0 seconds, not {timeout}")
        self.mark: Mark = since
        self.frame: Pixels | None = None
        self.result: T | None = None
        self._condition = condition
        self._region = region
        self._timeout = timeout
        self._ends = now + (timeout or 0.0)
        self._looks = 0
        self._mode: Mode | None = None
        self._absent: str | None = "nothing has been published yet"
        self._changed: tuple[float, Rect] | None = None
        self._checks = _CheckTimes(now, since)

    @property
    def what(self) -> str:
        """The condition's name in messages."""
        return self._condition.what

    @property
    def region(self) -> Rect | None:
        """The rectangle to check; None is everything."""
        return self._region

    def next(self, now: float) -> Look | Sleep | Met[T] | TimedOut:
        """Return the next step; call it as soon as the step before is done.

        Args:
            now: Seconds, of the clock of the constructor.
        """
        times = self._checks
        times.end(now)
        if self.result is not None:
            return Met(self.result)
        if times.wanted and (pause := self._pause(now)):
            return Sleep(pause, None)
        if times.wanted or times.is_due(now):
            times.began = now
            return Look()
        if self._timeout is not None and now >= self._ends:
            return TimedOut(self.timed_out(now))
        ends = None if self._timeout is None else self._ends
        known = [time for time in (times.again, ends) if time is not None]
        return Sleep(max(0.0, min(known) - now) if known else None, times.since)

    def changed(self, change: Change) -> None:
        """Take a change; one that touches the region causes a check."""
        times = self._checks
        times.since = change.mark
        times.wanted = times.wanted or self._touches(change)

    def _touches(self, change: Change) -> bool:
        if self._mode is None or change.everything or change.mode.epoch != self._mode.epoch:
            return bool(change.rects)
        region = self._region
        return any(region is None or rect.intersection(region) for rect in change.rects)

    def _pause(self, now: float) -> float:
        """Return the rest of the pause after the last check; the end of the wait ends it."""
        rest = max(0.0, self._checks.rested - now)
        return rest if self._timeout is None else min(rest, max(0.0, self._ends - now))

    def check(self, frame: Pixels, mode: Mode, mark: Mark, change: Change, now: float) -> None:
        """Check a frame.

        Args:
            frame: The whole picture, of one version; it must not change any more.
            mode: Its mode.
            mark: Its mark.
            change: Changes since the watch's `mark`, requested after the frame was taken.
            now: Seconds.
        """
        whole = change.everything or change.mark.epoch != mark.epoch
        times = self._checks
        times.wanted, times.again, times.since = False, None, mark
        self.mark, self.frame, self._mode = mark, frame, mode
        if whole or change.rects:
            self._changed = (now, _around(change.rects) if not whole else mode.whole)
        region = mode.whole if self._region is None else self._region
        if not mode.whole.contains(region):
            self._absent = f"the screen is {mode.width}x{mode.height} and has no such region"
            return
        self._absent = None
        self._looks += 1
        known = times.is_same_mode(mark) and not whole
        damage = _within(change.rects, region) if known else None
        self.result = self._condition.check(Seen(frame, region, damage, now, mark, mode))
        times.again = self._condition.again

    def absent(self, reason: str, since: Mark, now: float) -> None:
        """Take the reason why there is no frame now.

        Args:
            reason: Words for the error.
            since: The surface's mark before the attempt.
            now: Seconds.
        """
        self._absent = reason
        times = self._checks
        times.wanted, times.again, times.since = False, now + _ABSENT_SECONDS, since

    def timed_out(self, now: float) -> ScreenTimeoutError:
        """Return the error of a wait that times out at *now*."""
        return ScreenTimeoutError(
            what=self._condition.what,
            timeout=self._timeout or 0.0,
            frame=self.frame,
            region=self._region,
            ignored=self._condition.ignored,
            best=self._condition.best(now),
            looks=self._looks,
            changed=self._changed and (now - self._changed[0], self._changed[1]),
            absent=self._absent,
        )


class _CheckTimes:
    """The times of one wait's checks.

    Attributes:
        wanted: A change asks for a check.
        again: Time of the next check without a change; None: none.
        since: The mark of the newest change that has been taken.
        began: Begin of the check that runs; None between checks.
        rested: End of the pause after the last check.
    """

    def __init__(self, now: float, since: Mark) -> None:
        self.wanted = False
        self.again: float | None = now
        self.since = since
        self.began: float | None = None
        self.rested = now
        self._checked = (since.incarnation, since.epoch)

    def is_due(self, now: float) -> bool:
        """Return True where a check is due without a change."""
        return self.again is not None and now >= self.again

    def is_same_mode(self, mark: Mark) -> bool:
        """Return True where a frame of this mode was checked before, and take the mode."""
        before, self._checked = self._checked, (mark.incarnation, mark.epoch)
        return before == self._checked

    def end(self, now: float) -> None:
        """Take the end of the check that runs, if any: a pause as long as the check follows."""
        if self.began is not None:
            self.rested = now + min(now - self.began, _REST_SECONDS)
            self.began = None


def _within(rects: Iterable[Rect], region: Rect) -> tuple[Rect, ...]:
    parts = (rect.intersection(region) for rect in rects)
    return tuple(Region(part for part in parts if part).take())


def _around(rects: Iterable[Rect]) -> Rect:
    region = Region(rects, limit=1)
    return next(iter(region.take()), Rect(0, 0, 0, 0))
