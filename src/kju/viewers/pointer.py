"""Pointer of a view: distances, notches, and the cursors to show. I/O-free.

An absolute pointer (a tablet) puts the guest's pointer where the view's is. Where the guest has
only a relative one, a click grabs the pointer: movements are then sent as distances, and the
view's pointer is moved back to the middle before it leaves the view.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

from ..surface import Cursor

_Point = tuple[int, int]


class Relative:
    """Distances from the positions of a pointer that is moved back to the middle.

    Positions reported between the request to move the pointer and the move itself are still
    relative to the old place. The first position that is nearer to the new place than to the last
    position is taken as the first one from there. That is right as long as a single movement is
    below a thirtieth of the view and at most three positions are late.
    """

    def __init__(self) -> None:
        self._last: _Point | None = None
        self._awaited: _Point | None = None
        self._rest = (0.0, 0.0)

    def begin(self) -> None:
        """Forget the position."""
        self._last = self._awaited = None
        self._rest = (0.0, 0.0)

    def moved(self, at: _Point, scale: float) -> tuple[int, int]:
        """Return the whole guest pixels since the last position; keep the fraction."""
        before = self._last
        if self._awaited and before and math.dist(at, self._awaited) < math.dist(at, before):
            before, self._awaited = self._awaited, None
        self._last = at
        if before is None:
            return 0, 0
        x = (at[0] - before[0]) / scale + self._rest[0]
        y = (at[1] - before[1]) / scale + self._rest[1]
        self._rest = math.modf(x)[0], math.modf(y)[0]
        return int(x), int(y)

    def recentre(self, view: _Point) -> _Point | None:
        """Return the middle where the pointer has to be moved there: near the view's edge."""
        if self._last is None or self._awaited is not None:
            return None
        middle = view[0] // 2, view[1] // 2
        if all(abs(a - m) * 2 <= m for a, m in zip(self._last, middle, strict=True)):
            return None
        self._awaited = middle
        return middle


class Wheel:
    """Whole notches from fractions."""

    def __init__(self) -> None:
        self._rest = [0.0, 0.0]

    def turned(self, vertical: float, horizontal: float) -> tuple[int, int]:
        """Return the notches to send now; positive is down and right."""
        whole = [0, 0]
        for axis, turn in enumerate((vertical, horizontal)):
            # A turn in the other direction drops the fraction of the first.
            kept = self._rest[axis] if self._rest[axis] * turn > 0 else 0.0
            self._rest[axis], notches = math.modf(kept + turn)
            whole[axis] = int(notches)
        return whole[0], whole[1]


class PointerShape(Enum):
    """Shape of the view's pointer over the picture."""

    ARROW = "arrow"
    DOT = "dot"
    HIDDEN = "hidden"
    GUEST = "guest"


class Pointing(NamedTuple):
    """State that decides which pointers are shown.

    Attributes:
        controls: Input goes to the guest.
        absolute: The guest takes positions.
        grabbed: The guest has the pointer.
        inside: The view's pointer is over the picture.
    """

    controls: bool
    absolute: bool
    grabbed: bool
    inside: bool


def pointer_shape(pointing: Pointing, cursor: Cursor | None) -> PointerShape:
    """Return the shape of the view's own pointer."""
    if not pointing.controls:
        return PointerShape.ARROW
    if not pointing.absolute:
        return PointerShape.HIDDEN if pointing.grabbed else PointerShape.ARROW
    if cursor is None or not cursor.shape.size:
        # The guest draws its own pointer, or has none (a text screen).
        return PointerShape.DOT
    return PointerShape.GUEST if cursor.visible else PointerShape.HIDDEN


def draws_cursor(pointing: Pointing, cursor: Cursor | None) -> bool:
    """Return True where the picture must contain the guest's cursor: the view's is elsewhere."""
    if cursor is None or not cursor.visible or not cursor.shape.size:
        return False
    return not (pointing.controls and pointing.absolute and pointing.inside)
