"""What every wait for the screen is: looks at frames, each at what changed since the one before.

A `Condition` says whether one frame is what is waited for. A `Watch` decides when to look: at
once; then when damage touches the region; and at the time that the condition asks for, if it does.
Neither sleeps, and neither reads a clock: a driver does (`kju.client.waits`, and its asyncio form),
and each tells the watch what it saw, in this order:

1. It takes a frame, whole, of one version.
2. It asks what changed since the watch's `mark`; that may be more than the frame holds.
3. `Watch.look` evaluates, and sets the mark to the frame's version, never to the change's.

4. `Watch.took` hears how long that was: as long a rest follows.

So pixels that were drawn between the two are reported again, and no damage is lost while a look
takes its time: however much comes meanwhile, one more look follows.
"""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import numpy as np

from ..errors import UsageError
from ..surface import NOTHING_TAKEN, Change, Mark, Mode
from ..surface.geometry import Rect, Region
from .timeout import Best, ScreenTimeoutError

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

T = TypeVar("T")

# A producer that has no picture need not announce with any damage that it has one again. Every wait
# on a surface is capped like this.
_ABSENT_SECONDS = 0.5
# A wait may take half a core while the whole screen moves: matching a needle takes 100 ms, and a
# text 400, and the guest that is waited for may need the same processor. No rest is longer than
# this, since the first look also imports and loads what it needs.
_REST_SECONDS = 0.5


class Seen(NamedTuple):
    """One frame, as a condition looks at it.

    Attributes:
        pixels: The whole frame: B G R X, or one byte a pixel. It holds still.
        region: What of it counts; it lies inside.
        damage: What may differ from the frame before, inside the region; None is everything.
        now: Seconds, of a clock that only grows.
        mark: The frame's moment.
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
    """What is waited for. It may keep what it needs from one look to the next.

    Attributes:
        what: What it is, for messages: "the text 'login:'".
        again: When to look next though nothing changes, on the clock of `Seen.now`; None never.
        ignored: What it leaves out of the region, for pictures.
    """

    what: str = "a condition"
    again: float | None = None
    ignored: tuple[Rect, ...] = ()

    @abc.abstractmethod
    def look(self, seen: Seen) -> T | None:
        """What was waited for, or None if it is not there."""

    def best(self, now: float) -> Best:
        """The nearest to it that was seen, for the error when time is over, which is *now*."""
        return Best()


class Watch(Generic[T]):
    """One wait: when to look, and what came of it.

    Attributes:
        mark: What the last look has taken.
        looks: How many frames were looked at.
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
            condition: What for.
            region: Where, in pixels of the surface; None is everywhere.
            timeout: Seconds from now; None waits for ever.
            now: Seconds, of a clock that only grows.
            since: What the condition knows of already.

        Raises:
            UsageError: The region is empty or the timeout negative.
        """
        if region is not None:
            region = check_rect(region, "the region")
        if timeout is not None and not timeout >= 0:
            raise UsageError(f"a timeout is seconds from now, not {timeout}")
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
        """Whether what was waited for has come."""
        return self._found is not None

    @property
    def what(self) -> str:
        """What is waited for."""
        return self._condition.what

    @property
    def region(self) -> Rect | None:
        """Where; None is everywhere."""
        return self._region

    @property
    def frame(self) -> Pixels | None:
        """The last frame that was looked at, whole."""
        return self._frame

    @property
    def result(self) -> T:
        """What was waited for, once it is `done`."""
        assert self._found is not None  # noqa: S101  a driver has asked
        return self._found

    def wants(self, change: Change) -> bool:
        """Whether what changed is a reason to look: it touches the region."""
        if self._mode is None or change.everything or change.mode.epoch != self._mode.epoch:
            return bool(change.rects)
        region = self._region
        return any(region is None or rect.intersection(region) for rect in change.rects)

    def due(self, now: float) -> bool:
        """Whether to look though nothing changed: the first time, and when asked for."""
        return self._again is not None and now >= self._again

    def left(self, now: float) -> float | None:
        """Seconds to sleep at most; None is any time."""
        times = [self._again]
        if self._timeout is not None:
            times.append(self._ends)
        known = [time for time in times if time is not None]
        return max(0.0, min(known) - now) if known else None

    def over(self, now: float) -> bool:
        """Whether the time is over."""
        return self._timeout is not None and now >= self._ends

    def look(self, frame: Pixels, mode: Mode, mark: Mark, change: Change, now: float) -> None:
        """Look at a frame.

        Args:
            frame: The whole picture, at one version, which may not change any more.
            mode: Its mode.
            mark: Its moment.
            change: What changed since `mark`, as asked after the frame was taken.
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
        """Whether the condition has looked at a frame of this mode."""
        return self._looked_at == (self.mark.incarnation, self.mark.epoch)

    def took(self, began: float, ended: float) -> None:
        """Say when the last look began and ended."""
        self._rested = ended + min(ended - began, _REST_SECONDS)

    def rest(self, now: float) -> float:
        """Seconds to rest before another look, though there is a reason for one."""
        rest = max(0.0, self._rested - now)
        return rest if self._timeout is None else min(rest, max(0.0, self._ends - now))

    def absent(self, reason: str, now: float) -> None:
        """Say that there is no frame now, and why."""
        self._absent, self._again = reason, now + _ABSENT_SECONDS

    def timed_out(self, now: float) -> ScreenTimeoutError:
        """The error for a wait whose time is over."""
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


def check_rect(rect: tuple[int, int, int, int], what: str) -> Rect:
    """A rectangle that a user gave.

    Raises:
        UsageError: It is empty or begins outside the screen.
    """
    try:
        x, y, width, height = map(int, rect)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what} is x, y, width and height, not {rect!r}") from error
    if x < 0 or y < 0 or width <= 0 or height <= 0:
        raise UsageError(f"{what} {width}x{height} at {x},{y} holds no pixel of a screen")
    return Rect(x, y, width, height)


def cut_out(pixels: npt.NDArray[Any], rect: Rect) -> npt.NDArray[Any]:
    """View a rectangle of a picture that contains it."""
    return pixels[rect.y : rect.bottom, rect.x : rect.right]


def pixel_words(pixels: Pixels) -> npt.NDArray[Any]:
    """One number per pixel, without the fourth byte, which is undefined."""
    if pixels.ndim == 2:
        return np.asarray(pixels)
    words = np.ascontiguousarray(pixels).view(np.ndarray).view("<u4")[..., 0]
    return words & np.uint32(0x00FFFFFF)


def _within(rects: Iterable[Rect], region: Rect) -> tuple[Rect, ...]:
    parts = (rect.intersection(region) for rect in rects)
    return tuple(Region(part for part in parts if part).take())


def _around(rects: Iterable[Rect]) -> Rect:
    region = Region(rects, limit=1)
    return next(iter(region.take()), Rect(0, 0, 0, 0))
