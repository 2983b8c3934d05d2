"""What a pointer in a window means to the guest. I/O-free.

With an absolute pointer (a tablet) the guest's pointer is where the window's is. Where the
guest only has a relative one, a click gives it the pointer: what is moved from then on is sent
as distances, and the window's pointer is put back in the middle before it leaves the view.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

from ..surface import Cursor

_Point = tuple[int, int]


class Relative:
    """Distances from positions, for a window's pointer that is put back again and again.

    A pointer is put back some time after it was asked for: positions reported meanwhile are
    still those of before. The one that lies nearer to the new place than to the last position
    is the first from there; which is certain while none moves further than a
    thirtieth of the view, and three come late.
    """

    def __init__(self) -> None:
        self._last: _Point | None = None
        self._awaited: _Point | None = None
        self._rest = (0.0, 0.0)

    def begin(self) -> None:
        """Forget where it was."""
        self._last = self._awaited = None
        self._rest = (0.0, 0.0)

    def moved(self, at: _Point, scale: float) -> tuple[int, int]:
        """Whole guest pixels moved since the last position; fractions are kept for the next."""
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

    def put_back(self, view: _Point) -> _Point | None:
        """Where to put the pointer, when it is nearer to the edge than to the middle."""
        if self._last is None or self._awaited is not None:
            return None
        middle = view[0] // 2, view[1] // 2
        if all(abs(a - m) * 2 <= m for a, m in zip(self._last, middle, strict=True)):
            return None
        self._awaited = middle
        return middle


class Wheel:
    """Whole notches from fractions of them."""

    def __init__(self) -> None:
        self._rest = [0.0, 0.0]

    def turned(self, vertical: float, horizontal: float) -> tuple[int, int]:
        """Notches to send now; positive is down and right."""
        whole = [0, 0]
        for axis, turn in enumerate((vertical, horizontal)):
            # A turn the other way starts afresh: nobody waits for what is left of the first.
            kept = self._rest[axis] if self._rest[axis] * turn > 0 else 0.0
            self._rest[axis], notches = math.modf(kept + turn)
            whole[axis] = int(notches)
        return whole[0], whole[1]


class Look(Enum):
    """What the window's pointer looks like over the picture."""

    ARROW = "arrow"
    DOT = "dot"
    HIDDEN = "hidden"
    GUEST = "guest"


class Pointing(NamedTuple):
    """What decides how pointers are shown.

    Attributes:
        controls: Input goes to the guest.
        absolute: The guest's pointer is where the window's is.
        grabbed: The guest has the pointer.
        inside: The window's pointer is over the picture.
    """

    controls: bool
    absolute: bool
    grabbed: bool
    inside: bool


def window_cursor(pointing: Pointing, cursor: Cursor | None) -> Look:
    """What the window's own pointer is to look like."""
    if not pointing.controls:
        return Look.ARROW
    if not pointing.absolute:
        return Look.HIDDEN if pointing.grabbed else Look.ARROW
    if cursor is None or not cursor.shape.size:
        # The guest draws its own, or has none (a text screen): a dot does for both.
        return Look.DOT
    return Look.GUEST if cursor.visible else Look.HIDDEN


def draws_cursor(pointing: Pointing, cursor: Cursor | None) -> bool:
    """Whether the guest's cursor is drawn in the picture: where the window's is not the guest's."""
    if cursor is None or not cursor.visible or not cursor.shape.size:
        return False
    return not (pointing.controls and pointing.absolute and pointing.inside)
