"""The guest's answer to an input: the rules by which it begins and ends.

The answer begins with the first change of pixels after the input, and ends when nothing has changed
for a time. Changes are counted from a mark, so that pixels published before the input do not count.
A blinking text cursor does not count, as for `kju.Screen.wait_stable`.

A publication may show a part of a change: the guest is drawing the rest. So before a short
stillness ends the answer, all that is drawn is published, and checked once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from ..surface import Mark
from ..surface.geometry import Rect, Region, bounding
from ..vision.areas import bounds_of, check_rect, cut_out, differing
from ..vision.looking import Condition, Seen
from ..vision.pixels import Movement
from .checks import check_seconds

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..vision.pixels import Pixels

FrameT = TypeVar("FrameT")

#: The side of the squares whose neighbours belong to one change, in pixels.
_CELL = 16
#: The longest of the times of an answer, in seconds.
MAX_WAIT = 3600.0
# Seconds of a stillness in which the rest of a change is published in any case.
_LONG_STILL = 0.1


class Answer(NamedTuple, Generic[FrameT]):
    """The guest's answer to an input.

    Attributes:
        changed: True if pixels changed after the input. False is an answer, too.
        settled: True if nothing changed any more at the end. False if the limit ended the wait.
        seconds: Time from the begin of the last input to the last change that was seen; 0.0 if
            nothing changed.
        rects: The places where the frame differs from the screen before the input, to the pixel.
            A change that was undone has none.
        frame: The whole screen at the end.
        mark: The state of the screen that `frame` shows.
    """

    changed: bool
    settled: bool
    seconds: float
    rects: tuple[Rect, ...]
    frame: FrameT
    mark: Mark

    @property
    def version(self) -> int:
        """The version of the surface that `frame` shows."""
        return self.mark.version

    @property
    def rect(self) -> Rect | None:
        """The smallest rectangle around all of `rects`; None without one."""
        return bounding(self.rects) if self.rects else None

    def __repr__(self) -> str:
        return f"<Answer: {self.words}, version {self.version}>"

    @property
    def words(self) -> str:
        """The answer in one line."""
        if not self.changed:
            return "nothing changed"
        end = "settled" if self.settled else "still changing at the limit"
        where = "" if self.rect is None else " in {2}x{3} at {0},{1}".format(*self.rect)
        return f"changed{where} after {self.seconds:.2f} s, {end}"


class Times(NamedTuple):
    """The times of an answer, in seconds.

    Attributes:
        first: For a first change.
        still: Without a change, after which the answer has ended.
        limit: For the whole answer.
    """

    first: float
    still: float
    limit: float

    def checked(self) -> Times:
        """Return these times.

        Raises:
            UsageError: One is not a number from 0 to 3600.
        """
        names = ("first", "still", "limit")
        return Times(*map(check_seconds, self, names, (MAX_WAIT,) * len(names)))


class Answering(Condition["Answer[Pixels]"]):
    """The answer to an input has ended."""

    def __init__(
        self,
        what: str,
        times: Times,
        ignore: Iterable[tuple[int, int, int, int]],
        before: Pixels | None,
    ) -> None:
        """Prepare the wait, before the input.

        Args:
            what: The description of the input.
            times: The times.
            ignore: Rectangles that may change at any time.
            before: The whole screen before the input: B G R X, or one byte a pixel. None without
                one: then the first picture is a change.

        Raises:
            UsageError: A time or rectangle is not valid.
        """
        self.what: str = f"the guest's answer to {what}"
        self.ignored: tuple[Rect, ...] = tuple(
            check_rect(rect, "the ignored area") for rect in ignore
        )
        self._times: Times = times.checked()
        self._before: Pixels | None = before
        self._damage: Region | None = Region(limit=256)
        self._began: float = 0.0
        self._sent: float = 0.0
        self._is_sure: bool = times.still >= _LONG_STILL
        self._movement: Movement = Movement(0.0, self.ignored, before)

    def begin(self, began: float, sent: float) -> None:
        """Take the times of the last input; call it before the first check.

        Args:
            began: Time of its begin, on the clock of `Seen.now`.
            sent: Time at which all of it was sent.
        """
        self._began, self._sent = began, sent
        self._movement = Movement(began, self.ignored, self._before)

    def check(self, seen: Seen) -> Answer[Pixels] | None:
        """Return the answer once it has ended."""
        now, movement, times = seen.now, self._movement, self._times
        self._note_damage(seen)
        movement.take(seen)
        changed = movement.since > self._began
        ends = (movement.since + times.still) if changed else (self._sent + times.first)
        limit = self._sent + times.limit
        self.needs_all = changed and not self._is_sure and ends <= now < limit
        if self.needs_all:
            self._is_sure = True
            self.again = now
            return None
        if now >= ends or now >= limit:
            seconds = movement.since - self._began
            return Answer(
                changed, now >= ends or not changed, seconds, self._rects(seen), seen.pixels,
                seen.mark,
            )  # fmt: skip
        self.again = min(ends, limit)
        return None

    def _note_damage(self, seen: Seen) -> None:
        """Remember where the screen may differ from the one before the input."""
        before = self._before
        if seen.damage is None or before is None or before.shape != seen.pixels.shape:
            self._damage = None
        elif self._damage is not None:
            for rect in seen.damage:
                self._damage.add(rect)

    def _rects(self, seen: Seen) -> tuple[Rect, ...]:
        before = self._before
        if before is None or before.shape != seen.pixels.shape:
            return (seen.region,)
        damage = [seen.region] if self._damage is None else self._damage.take()
        return tuple(changed_boxes(before, seen.pixels, damage, self.ignored))


def changed_boxes(
    before: Pixels, after: Pixels, damage: Iterable[Rect], ignored: Iterable[Rect]
) -> list[Rect]:
    """Return boxes around the pixels that differ, one around each group; none overlaps another.

    Args:
        before: A picture.
        after: Another one of the same size.
        damage: Rectangles in which they may differ; inside both.
        ignored: Rectangles that are not compared.
    """
    places = list(damage)
    if not places:
        return []
    # Only the part around all of them is examined: most changes are small.
    part = _around(bounding(places), Rect(0, 0, after.shape[1], after.shape[0]))
    differs = np.zeros((part.height, part.width), bool)
    hidden = list(ignored)
    for rect in places:
        inside = rect._replace(x=rect.x - part.x, y=rect.y - part.y)
        cut_out(differs, inside)[...] = differing(before, after, rect, hidden)
    boxes: list[Rect] = []
    for cells in _groups(_cells(differs)):
        rows, columns = [row for row, _ in cells], [column for _, column in cells]
        left, top = min(columns) * _CELL, min(rows) * _CELL
        right = min((max(columns) + 1) * _CELL, part.width)
        bottom = min((max(rows) + 1) * _CELL, part.height)
        boxes.append(Rect(left, top, right - left, bottom - top))
    found = []
    for box in _joined(boxes):
        if tight := bounds_of(cut_out(differs, box)):
            x, y = part.x + box.x + tight.x, part.y + box.y + tight.y
            found.append(tight._replace(x=x, y=y))
    return found


def _around(rect: Rect, whole: Rect) -> Rect:
    """Return the squares of a picture that a rectangle in it touches."""
    left, top = rect.x // _CELL * _CELL, rect.y // _CELL * _CELL
    right = min(-(-rect.right // _CELL) * _CELL, whole.width)
    bottom = min(-(-rect.bottom // _CELL) * _CELL, whole.height)
    return Rect(left, top, right - left, bottom - top)


def _cells(differs: npt.NDArray[np.bool_]) -> set[tuple[int, int]]:
    """Return the row and column of each cell with a difference."""
    height, width = differs.shape
    padded = np.pad(differs, ((0, -height % _CELL), (0, -width % _CELL)))
    grid = padded.reshape(padded.shape[0] // _CELL, _CELL, -1, _CELL).any((1, 3))
    return {(int(row), int(column)) for row, column in np.argwhere(grid)}


def _groups(cells: set[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Yield the groups of neighbouring cells; *cells* is empty then."""
    while cells:
        group = [cells.pop()]
        for row, column in group:  # it grows meanwhile
            for near in [(row + dy, column + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in cells:
                    cells.remove(near)
                    group.append(near)
        yield group


def _joined(boxes: list[Rect]) -> list[Rect]:
    """Join boxes that overlap, until none does; from the top, then from the left."""
    todo, done = boxes, list[Rect]()
    while todo:
        box = todo.pop()
        overlapping = [other for other in done if other.intersection(box)]
        if overlapping:
            done = [other for other in done if other not in overlapping]
            todo.append(bounding([box, *overlapping]))
        else:
            done.append(box)
    return sorted(done, key=lambda box: (box.y, box.x))
