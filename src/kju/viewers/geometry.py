"""Placement of the guest's picture in a view, and the pixel under a point. I/O-free.

Coordinates are whole device pixels, origin at the view's top left. A toolkit counts logical
pixels, of which a device pixel is any fraction (1.25, 1.5); only `device_pixel`, `device_size`
and `logical_rect` convert between the two.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from ..errors import UsageError
from ..surface.geometry import Rect

# A size in logical pixels covers fewer than this many device pixels too many, on displays where
# a logical pixel is at most three device pixels.
_SLACK = 3


class Scaling(StrEnum):
    """Size of the picture in its view."""

    FIT = "fit"
    """As large as the view, whole; the pixels are smoothed."""
    SHRINK = "shrink"
    """As `FIT`, but never enlarged."""
    INTEGER = "integer"
    """The largest whole multiple that fits, at least one; every pixel is a square."""
    ONE = "1:1"
    """A pixel of the guest is a pixel of the display; what does not fit is scrolled."""


def scaling_of(name: str) -> Scaling:
    """Return the scaling of this name.

    Raises:
        UsageError: No scaling has this name.
    """
    try:
        return Scaling(name)
    except ValueError:
        raise UsageError(f"unknown scale {name!r}; choose from {', '.join(Scaling)}") from None


class Placement(NamedTuple):
    """A picture in a view.

    Attributes:
        width: Of the picture, guest pixels.
        height: Of the picture, guest pixels.
        target: Rectangle it is drawn in; larger than the view where it is scrolled.
        view: The view, whose origin is 0, 0.
    """

    width: int
    height: int
    target: Rect
    view: Rect

    @property
    def exact(self) -> bool:
        """True where every guest pixel is a square of whole device pixels."""
        across, rest = divmod(self.target.width, self.width)
        return not rest and across >= 1 and self.target.height == across * self.height

    @property
    def scale(self) -> float:
        """Device pixels per guest pixel."""
        return self.target.width / self.width

    @property
    def visible(self) -> Rect | None:
        """The part of the view that the picture covers."""
        return self.target.intersection(self.view)

    @property
    def room(self) -> tuple[int, int]:
        """Largest scroll offsets, right and down."""
        return (
            max(0, self.target.width - self.view.width),
            max(0, self.target.height - self.view.height),
        )

    def guest_pixel(self, x: int, y: int) -> tuple[int, int]:
        """Return the guest pixel under a device pixel's middle; outside, the nearest one."""
        gx = (2 * (x - self.target.x) + 1) * self.width // (2 * self.target.width)
        gy = (2 * (y - self.target.y) + 1) * self.height // (2 * self.target.height)
        return min(max(gx, 0), self.width - 1), min(max(gy, 0), self.height - 1)

    def device_rect(self, rect: Rect) -> Rect | None:
        """Return the visible device pixels that a rectangle of the guest affects."""
        # A smoothed pixel is mixed from its neighbours, so it reaches one further.
        more = 0 if self.exact else 1
        left = (rect.x - more) * self.target.width // self.width
        top = (rect.y - more) * self.target.height // self.height
        right = -(-(rect.right + more) * self.target.width // self.width)
        bottom = -(-(rect.bottom + more) * self.target.height // self.height)
        whole = Rect(self.target.x + left, self.target.y + top, right - left, bottom - top)
        return whole.intersection(self.visible) if self.visible else None


def place(
    size: tuple[int, int], view: tuple[int, int], scaling: Scaling, scrolled: tuple[int, int]
) -> Placement:
    """Place a picture in a view: centred, or scrolled where it is larger.

    Args:
        size: Width and height of the guest's picture, at least 1.
        view: Width and height of the view, device pixels, at least 1.
        scaling: Its size in the view.
        scrolled: Device pixels hidden left of and above the view; limited to those that exist.
    """
    (width, height), (across, down) = size, view
    if scaling is Scaling.SHRINK and width <= across and height <= down:
        drawn = size
    elif scaling in (Scaling.FIT, Scaling.SHRINK):
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
        return times * width, times * height  # sharp, at the cost of a margin below 3 pixels
    if width * down >= height * across:
        return across, max(1, (2 * height * across + width) // (2 * width))
    return max(1, (2 * width * down + height) // (2 * height)), down


def _origin(drawn: int, room: int, scrolled: int) -> int:
    if drawn <= room:
        return (room - drawn) // 2
    return -min(max(scrolled, 0), drawn - room)


def device_pixel(x: float, y: float, ratio: float) -> tuple[int, int]:
    """Return the device pixel that contains a logical point.

    Args:
        x: Logical pixels, as a toolkit gives them: a device pixel divided by *ratio*.
        y: The same, down.
        ratio: Device pixels per logical one.
    """
    # 3 / 1.1 * 1.1 is below 3; a thousandth of a pixel is finer than any pointer.
    return math.floor(x * ratio + 0.001), math.floor(y * ratio + 0.001)


def logical_rect(rect: Rect, ratio: float) -> Rect:
    """Return the smallest logical rectangle that covers device pixels."""
    left, top = math.floor(rect.x / ratio), math.floor(rect.y / ratio)
    right, bottom = math.ceil(rect.right / ratio), math.ceil(rect.bottom / ratio)
    return Rect(left, top, right - left, bottom - top)


def device_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Return the whole device pixels in a view of a logical size, at least 1 x 1."""
    across, down = device_pixel(width, height, ratio)
    return max(1, across), max(1, down)


def preferred_size(size: tuple[int, int], largest: tuple[int, int]) -> tuple[int, int]:
    """Return a view's size for a picture: the picture's, shrunk to the largest possible view.

    Args:
        size: Of the picture.
        largest: Of the largest view on this display, device pixels.
    """
    if size[0] <= largest[0] and size[1] <= largest[1]:
        return size
    return _fitted(*size, max(1, largest[0]), max(1, largest[1]))


def same_size(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return True where two sizes differ by the rounding to logical pixels at most."""
    return all(abs(a - b) < _SLACK for a, b in zip(one, other, strict=True))
