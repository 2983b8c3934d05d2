"""Rectangles and small sets of rectangles, in pixels, origin top left."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import GeometryError


class Place(NamedTuple):
    """The place of a picture, 4 bytes per pixel, in a piece of memory.

    Attributes:
        width: Pixels.
        height: Pixels.
        stride: Bytes per row.
        offset: Bytes from the memory's start to the first pixel.
    """

    width: int
    height: int
    stride: int
    offset: int

    @property
    def end(self) -> int:
        """Bytes from the memory's start to the end of the last pixel."""
        return self.offset + self.stride * (self.height - 1) + self.width * 4


class Rect(NamedTuple):
    """One rectangle: pixels, origin top left, immutable."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """First column to the right of the rectangle."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row below the rectangle."""
        return self.y + self.height

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def contains(self, other: Rect) -> bool:
        """Return whether *other* lies completely inside."""
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def intersection(self, other: Rect) -> Rect | None:
        """Return the common part; None if the rectangles do not overlap."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        width = min(self.right, other.right) - x
        height = min(self.bottom, other.bottom) - y
        return Rect(x, y, width, height) if width > 0 and height > 0 else None

    def union(self, other: Rect) -> Rect:
        """Return the smallest rectangle that contains both."""
        x, y = min(self.x, other.x), min(self.y, other.y)
        return Rect(x, y, max(self.right, other.right) - x, max(self.bottom, other.bottom) - y)


#: A rectangle as an argument: a `Rect`, or a tuple of x, y, width and height.
Area = tuple[int, int, int, int]


def as_rect(area: Area) -> Rect:
    """Return *area* as a `Rect`.

    Raises:
        GeometryError: *area* is not four integers.
    """
    if isinstance(area, Rect):
        return area
    try:
        x, y, width, height = map(operator.index, area)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"a rectangle is (x, y, width, height), not {area!r}") from error
    return Rect(x, y, width, height)


class Region:
    """Collected damage: at most `limit` rectangles, however many are added.

    A rectangle inside a held one is dropped. One that extends a held one without other area is
    merged into it. Beyond the limit all become their bounding rectangle. So a region may cover more
    than was added, never less.
    """

    def __init__(self, rects: Iterable[Rect] = (), limit: int = 64) -> None:
        self.limit = limit
        self._rects: list[Rect] = []
        for rect in rects:
            self.add(rect)

    def __bool__(self) -> bool:
        return bool(self._rects)

    def __len__(self) -> int:
        return len(self._rects)

    def add(self, rect: Rect) -> None:
        """Add a rectangle; an empty one changes nothing."""
        if rect.width <= 0 or rect.height <= 0:
            return
        kept = []
        for held in self._rects:
            if held.contains(rect):
                return
            union = held.union(rect)
            if union.area <= held.area + rect.area and (
                union.width == held.width == rect.width
                or union.height == held.height == rect.height
            ):
                rect = union
            elif not rect.contains(held):
                kept.append(held)
        kept.append(rect)
        if len(kept) > self.limit:
            kept = [bounding(kept)]
        self._rects = kept

    def take(self) -> list[Rect]:
        """Return the rectangles and empty the region."""
        rects, self._rects = self._rects, []
        return rects


def bounding(rects: Iterable[Rect]) -> Rect:
    """Return the smallest rectangle that contains all of *rects*; there is at least one."""
    rects = list(rects)
    left, top = min(r.x for r in rects), min(r.y for r in rects)
    right, bottom = max(r.right for r in rects), max(r.bottom for r in rects)
    return Rect(left, top, right - left, bottom - top)
