"""Waits for the screen: conditions, and the times at which they are checked.

A `Condition` checks one frame. A `Watch` decides about the times: at once, when damage touches the
region, and at a time that the condition requests. Neither sleeps nor reads a clock; a driver does
(`kju.client.waits`, and its asyncio form), in this order:

1. It takes a whole frame of one version.
2. It asks for the changes since the watch's `mark`, which may be newer than the frame.
3. `Watch.look` checks the frame, and sets the mark to the frame's version, never to the change's.
4. `Watch.took` takes the duration of the check: a pause of the same length follows.

So pixels that were drawn between 1 and 2 are reported again, and no damage is lost during a check:
one more check follows, however much was drawn meanwhile.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..errors import UsageError
from ..surface import NOTHING_TAKEN, Change, Mark, Mode
from ..surface.geometry import Rect, Region
from .annotate import Best
from .areas import check_rect, cut_out
from .timeout import ScreenTimeoutError

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
    """

    what: str = "a condition"
    again: float | None = None
    ignored: tuple[Rect, ...] = ()

    @abc.abstractmethod
    def look(self, seen: Seen) -> T | None:
        """Check a frame; return the result, or None where the condition is not met."""

    def best(self, now: float) -> Best:
        """Return the best match so far, for the error of a time-out at *now*."""
        return Best()


class Watch(Generic[T]):
    """One wait: the times of its checks, and its result.

    Attributes:
        mark: The mark of the last frame that was checked.
        looks: Number of frames that were checked.
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
        self.looks: int = 0
        self._found: T | None = None
        self._condition = condition
        self._region = region
        self._timeout = timeout
        self._ends = now + (timeout or 0.0)
        self._rested = now
        self._again: float | None = now
        self._frame: Pixels | None = None
        self._mode: Mode | None = None
        self._absent = "nothing has been published yet"
        self._changed: tuple[float, Rect] | None = None
        self._looked_at = (since.incarnation, since.epoch)

    @property
    def done(self) -> bool:
        """True once the condition was met."""
        return self._found is not None

    @property
    def what(self) -> str:
        """The condition's name in messages."""
        return self._condition.what

    @property
    def region(self) -> Rect | None:
        """The rectangle to check; None is everything."""
        return self._region

    @property
    def frame(self) -> Pixels | None:
        """The last frame that was checked, whole."""
        return self._frame

    @property
    def result(self) -> T:
        """The condition's result, once `done`."""
        assert self._found is not None  # noqa: S101  a driver has asked
        return self._found

    def wants(self, change: Change) -> bool:
        """Return True where a change touches the region, so that a check is needed."""
        if self._mode is None or change.everything or change.mode.epoch != self._mode.epoch:
            return bool(change.rects)
        region = self._region
        return any(region is None or rect.intersection(region) for rect in change.rects)

    def due(self, now: float) -> bool:
        """Return True where a check is due without a change."""
        return self._again is not None and now >= self._again

    def left(self, now: float) -> float | None:
        """Return the longest time to sleep, seconds; None is no limit."""
        times = [self._again]
        if self._timeout is not None:
            times.append(self._ends)
        known = [time for time in times if time is not None]
        return max(0.0, min(known) - now) if known else None

    def over(self, now: float) -> bool:
        """Return True once the timeout has passed."""
        return self._timeout is not None and now >= self._ends

    def look(self, frame: Pixels, mode: Mode, mark: Mark, change: Change, now: float) -> None:
        """Check a frame.

        Args:
            frame: The whole picture, of one version; it must not change any more.
            mode: Its mode.
            mark: Its mark.
            change: Changes since the watch's `mark`, requested after the frame was taken.
            now: Seconds.
        """
        whole = change.everything or change.mark.epoch != mark.epoch
        self._again, self.mark, self._frame, self._mode = None, mark, frame, mode
        if whole or change.rects:
            self._changed = (now, _around(change.rects) if not whole else mode.whole)
        region = mode.whole if self._region is None else self._region
        if not mode.whole.contains(region):
            self._absent = f"the screen is {mode.width}x{mode.height} and has no such region"
            return
        self._absent = ""
        self.looks += 1
        damage = None if whole or not self._seen_before() else _within(change.rects, region)
        self._looked_at = (mark.incarnation, mark.epoch)
        self._found = self._condition.look(Seen(frame, region, damage, now, mark, mode))
        self._again = self._condition.again

    def _seen_before(self) -> bool:
        """Return True where the condition has checked a frame of this mode before."""
        return self._looked_at == (self.mark.incarnation, self.mark.epoch)

    def took(self, began: float, ended: float) -> None:
        """Take the begin and the end of the last check."""
        self._rested = ended + min(ended - began, _REST_SECONDS)

    def rest(self, now: float) -> float:
        """Return the seconds to pause before the next check."""
        rest = max(0.0, self._rested - now)
        return rest if self._timeout is None else min(rest, max(0.0, self._ends - now))

    def absent(self, reason: str, now: float) -> None:
        """Take the reason why there is no frame now."""
        self._absent, self._again = reason, now + _ABSENT_SECONDS

    def timed_out(self, now: float) -> ScreenTimeoutError:
        """Return the error of a wait that has timed out."""
        return ScreenTimeoutError(
            what=self._condition.what,
            timeout=self._timeout or 0.0,
            frame=self._frame,
            region=self._region,
            ignored=self._condition.ignored,
            best=self._condition.best(now),
            looks=self.looks,
            changed=self._changed and (now - self._changed[0], self._changed[1]),
            absent=self._absent,
        )


def _within(rects: Iterable[Rect], region: Rect) -> tuple[Rect, ...]:
    parts = (rect.intersection(region) for rect in rects)
    return tuple(Region(part for part in parts if part).take())


def _around(rects: Iterable[Rect]) -> Rect:
    region = Region(rects, limit=1)
    return next(iter(region.take()), Rect(0, 0, 0, 0))
