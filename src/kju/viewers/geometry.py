"""Where the guest's picture lies in a view, and which pixel of it is under a point. I/O-free.

Everything here is in device pixels, whole numbers, origin at the view's top left. A toolkit
counts in logical ones, of which a device pixel is any fraction (1.25, 1.5): `device_pixel`
and `logical_rect` are the only places where that is converted.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from ..errors import UsageError
from ..surface.geometry import Rect

# A view's size in logical pixels covers up to that many device pixels more than were wanted, on
# displays of which a logical pixel is at most three.
_SLACK = 3


class Scaling(StrEnum):
    """How large the picture is drawn."""

    FIT = "fit"
    """As large as the view, whole; the pixels are smoothed."""
    INTEGER = "integer"
    """The largest whole multiple that fits, at least one; every pixel is a square."""
    ONE = "1:1"
    """A pixel of the guest is a pixel of the display; what does not fit is scrolled."""


def scaling_of(name: str) -> Scaling:
    """A way to scale, by name.

    Raises:
        UsageError: There is none of this name.
    """
    try:
        return Scaling(name)
    except ValueError:
        raise UsageError(f"a scale is {', '.join(Scaling)}, not {name!r}") from None


class Placement(NamedTuple):
    """A picture in a view.

    Attributes:
        width: Pixels of the guest.
        height: Pixels of the guest.
        target: Where it is drawn; it may begin before the view and end behind it.
        view: The view, whose origin is 0, 0.
    """

    width: int
    height: int
    target: Rect
    view: Rect

    @property
    def exact(self) -> bool:
        """Whether every guest pixel is a square of whole device pixels."""
        across, rest = divmod(self.target.width, self.width)
        return not rest and across >= 1 and self.target.height == across * self.height

    @property
    def scale(self) -> float:
        """Device pixels per guest pixel."""
        return self.target.width / self.width

    @property
    def room(self) -> tuple[int, int]:
        """How far it can be scrolled, right and down."""
        return (
            max(0, self.target.width - self.view.width),
            max(0, self.target.height - self.view.height),
        )

    def guest_pixel(self, x: int, y: int) -> tuple[int, int]:
        """The guest pixel that the middle of a device pixel shows; the nearest one outside."""
        gx = (2 * (x - self.target.x) + 1) * self.width // (2 * self.target.width)
        gy = (2 * (y - self.target.y) + 1) * self.height // (2 * self.target.height)
        return min(max(gx, 0), self.width - 1), min(max(gy, 0), self.height - 1)

    def device_rect(self, rect: Rect) -> Rect | None:
        """The device pixels in view that a rectangle of the guest has a part in."""
        # A smoothed pixel is mixed from its neighbours, so it reaches one further.
        more = 0 if self.exact else 1
        left = (rect.x - more) * self.target.width // self.width
        top = (rect.y - more) * self.target.height // self.height
        right = -(-(rect.right + more) * self.target.width // self.width)
        bottom = -(-(rect.bottom + more) * self.target.height // self.height)
        whole = Rect(self.target.x + left, self.target.y + top, right - left, bottom - top)
        visible = self.target.intersection(self.view)
        return whole.intersection(visible) if visible else None


def place(
    size: tuple[int, int], view: tuple[int, int], scaling: Scaling, scrolled: tuple[int, int]
) -> Placement:
    """Put a picture in a view: in the middle, or scrolled where it is larger.

    Args:
        size: Width and height of the guest's picture, at least 1.
        view: Width and height of the view, device pixels, at least 1.
        scaling: How large it is drawn.
        scrolled: Device pixels that lie left of and above the view, as far as there are any.
    """
    (width, height), (across, down) = size, view
    if scaling is Scaling.FIT:
        drawn = _fitted(width, height, across, down)
    else:
        times = max(1, min(across // width, down // height)) if scaling is Scaling.INTEGER else 1
        drawn = width * times, height * times
    x = _origin(drawn[0], across, scrolled[0])
    y = _origin(drawn[1], down, scrolled[1])
    return Placement(width, height, Rect(x, y, *drawn), Rect(0, 0, across, down))


def _fitted(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    times = min(across // width, down // height)
    if times and (across - times * width < _SLACK or down - times * height < _SLACK):
        return times * width, times * height  # sharp, for a margin that nobody sees
    if width * down >= height * across:
        return across, max(1, (2 * height * across + width) // (2 * width))
    return max(1, (2 * width * down + height) // (2 * height)), down


def _origin(drawn: int, room: int, scrolled: int) -> int:
    if drawn <= room:
        return (room - drawn) // 2
    return -min(max(scrolled, 0), drawn - room)


def device_pixel(x: float, y: float, ratio: float) -> tuple[int, int]:
    """The device pixel that a logical point lies in.

    Args:
        x: Logical pixels, as a toolkit gives them: a device pixel divided by *ratio*.
        y: The same, down.
        ratio: Device pixels per logical one.
    """
    # 3 / 1.1 * 1.1 is not 3: a thousandth of a pixel is less than any pointer can tell.
    return math.floor(x * ratio + 0.001), math.floor(y * ratio + 0.001)


def logical_rect(rect: Rect, ratio: float) -> Rect:
    """The smallest logical rectangle that covers device pixels."""
    left, top = math.floor(rect.x / ratio), math.floor(rect.y / ratio)
    right, bottom = math.ceil(rect.right / ratio), math.ceil(rect.bottom / ratio)
    return Rect(left, top, right - left, bottom - top)


def device_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """The whole device pixels in a view of a logical size; at least one each way."""
    across, down = device_pixel(width, height, ratio)
    return max(1, across), max(1, down)


def wanted_size(size: tuple[int, int], most: tuple[int, int]) -> tuple[int, int]:
    """How large a view is to be for a picture: its own size, or what of that there is room for.

    Args:
        size: Of the picture.
        most: Of the largest view that the display has room for, device pixels.
    """
    if size[0] <= most[0] and size[1] <= most[1]:
        return size
    return _fitted(*size, max(1, most[0]), max(1, most[1]))


def about(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes are the same, but for the rounding to logical pixels."""
    return all(abs(a - b) < _SLACK for a, b in zip(one, other, strict=True))
