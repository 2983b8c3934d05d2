"""Placement of the guest's picture in a view, and the pixel under a point. I/O-free.

Coordinates are whole device pixels, origin at the view's top left. A toolkit counts logical
pixels, of which a device pixel is any fraction (1.25, 1.5); only `device_pixel`, `device_size`
and `logical_rect` convert between the two.

A scale is the number of device pixels per guest pixel, at every ratio of a display: at 100 % a
pixel of the guest is a pixel of the display. So that a guest does not look small on a display with
a ratio of 2, a new view opens at `usual_multiple`: 200 % there.
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
    WIDTH = "width"
    """As wide as the view; what does not fit below is scrolled."""

    @property
    def enlarges(self) -> bool:
        """True where a pixel of the guest may be larger than a pixel of the display."""
        return self not in (Scaling.SHRINK, Scaling.ONE)


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
        smooth: Pixels are mixed where the scale is not a whole multiple; else the nearest is shown.
    """

    width: int
    height: int
    target: Rect
    view: Rect
    smooth: bool = True

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
    def averages(self) -> bool:
        """True where a device pixel is the average of all guest pixels in it.

        Below one half, a mixture of the four nearest pixels would lose strokes of a pixel's width.
        """
        return self.smooth and (
            2 * self.target.width < self.width or 2 * self.target.height < self.height
        )

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
        # A smoothed pixel is mixed from its neighbours, so it reaches one further. So may the
        # nearest pixel, which a toolkit finds with rounded numbers.
        more = 0 if self.exact else 1
        left = (rect.x - more) * self.target.width // self.width
        top = (rect.y - more) * self.target.height // self.height
        right = -(-(rect.right + more) * self.target.width // self.width)
        bottom = -(-(rect.bottom + more) * self.target.height // self.height)
        whole = Rect(self.target.x + left, self.target.y + top, right - left, bottom - top)
        return whole.intersection(self.visible) if self.visible else None


def place(
    size: tuple[int, int],
    view: tuple[int, int],
    scaling: Scaling,
    scrolled: tuple[int, int],
    *,
    smooth: bool = True,
    whole: tuple[int, int] | None = None,
    bar: int = 0,
) -> Placement:
    """Place a picture in a view: centred, or scrolled where it is larger.

    Args:
        size: Width and height of the guest's picture, at least 1.
        view: Width and height of the view, device pixels, at least 1.
        scaling: Its size in the view.
        scrolled: Device pixels hidden left of and above the view; limited to those that exist.
        smooth: See `Placement`.
        whole: Width and height of the view without scroll bars; by default *view* has none.
        bar: The width of a scroll bar.
    """
    (width, height), (across, down) = size, view
    x, y = _drawn_size(size, view, scaling)
    if scaling is Scaling.WIDTH and _scrolls_down(size, whole or view, bar):
        times = across // width
        sharp = times and across - times * width < _SLACK
        x, y = (times * width, times * height) if sharp else (across, _height(size, across))
    left, top = _origin(x, across, scrolled[0]), _origin(y, down, scrolled[1])
    return Placement(width, height, Rect(left, top, x, y), Rect(0, 0, across, down), smooth)


def _drawn_size(size: tuple[int, int], view: tuple[int, int], scaling: Scaling) -> tuple[int, int]:
    """Return width and height of a picture that is whole in its view, or scrolled both ways."""
    (width, height), (across, down) = size, view
    match scaling:
        case Scaling.SHRINK if width <= across and height <= down:
            return size
        case Scaling.ONE:
            return size
        case Scaling.INTEGER:
            times = max(1, min(across // width, down // height))
            return width * times, height * times
    return _fitted(width, height, across, down)


def _scrolls_down(size: tuple[int, int], whole: tuple[int, int], bar: int) -> bool:
    """Return True where a picture as wide as its view is too high for it, beside a scroll bar too.

    A bar that makes the picture so small that it fits would come and go without end.
    """
    narrower = max(1, whole[0] - bar)
    return _height(size, narrower) > whole[1] + _SLACK * max(1, -(-size[1] // size[0]))


def _height(size: tuple[int, int], across: int) -> int:
    """Return the height of a picture that is drawn so wide."""
    width, height = size
    return max(1, (2 * height * across + width) // (2 * width))


def _fitted(width: int, height: int, across: int, down: int) -> tuple[int, int]:
    times = min(across // width, down // height)
    if times and (across - times * width < _SLACK or down - times * height < _SLACK):
        return times * width, times * height  # sharp, at the cost of a margin below 3 pixels
    if width * down >= height * across:
        return across, _height((width, height), across)
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


def device_cover(rect: Rect, ratio: float) -> Rect:
    """Return the smallest rectangle of device pixels that covers a logical rectangle."""
    left, top = math.floor(rect.x * ratio), math.floor(rect.y * ratio)
    right, bottom = math.ceil(rect.right * ratio), math.ceil(rect.bottom * ratio)
    return Rect(left, top, right - left, bottom - top)


def device_size(width: int, height: int, ratio: float) -> tuple[int, int]:
    """Return the whole device pixels in a view of a logical size, at least 1 x 1."""
    across, down = device_pixel(width, height, ratio)
    return max(1, across), max(1, down)


def usual_multiple(scaling: Scaling, ratio: float) -> int:
    """Return the device pixels per guest pixel of a new view: the whole number next to the ratio.

    A picture is sharp at whole numbers only. So a guest has its usual size where the ratio is
    whole, and is at most a third smaller or a quarter larger elsewhere.
    """
    return max(1, math.ceil(ratio - 0.5)) if scaling.enlarges else 1


def preferred_size(
    size: tuple[int, int], largest: tuple[int, int], multiple: int = 1
) -> tuple[int, int]:
    """Return a view's size for a picture: a multiple of the picture's that is possible.

    Args:
        size: Of the picture.
        largest: Of the largest view on this display, device pixels. A picture that is larger is
            shrunk.
        multiple: The largest multiple.
    """
    for times in range(multiple, 0, -1):
        if size[0] * times <= largest[0] and size[1] * times <= largest[1]:
            return size[0] * times, size[1] * times
    return _fitted(*size, max(1, largest[0]), max(1, largest[1]))


class ViewSize(NamedTuple):
    """The size of a view, and the ratio of its display.

    Attributes:
        width: Device pixels.
        height: Device pixels.
        ratio: Device pixels per logical pixel.
    """

    width: int
    height: int
    ratio: float

    def same_as(self, other: ViewSize) -> bool:
        """Return True where two sizes differ by the rounding to logical pixels at most.

        A view that moves to a display of another ratio keeps its logical size.
        """
        finer = max(self.ratio, other.ratio)
        pairs = (self.width, other.width), (self.height, other.height)
        return all(abs(a / self.ratio - b / other.ratio) * finer < _SLACK for a, b in pairs)

    def is_as_wide_as(self, other: ViewSize) -> bool:
        """Return True where two sizes have the same device pixels across."""
        return abs(self.width - other.width) < _SLACK


def spread(heads: list[int], first: int, at: int, displays: int) -> dict[int, int]:
    """Return the display of each of a machine's screens that fill one; the others stay windows.

    Args:
        heads: The screens with a window, in their order.
        first: The one that the user has made fill its display.
        at: The index of that display, from left to right.
        displays: How many there are.
    """
    free = [display for display in range(displays) if display != at]
    others = [head for head in heads if head != first]
    return {first: at, **dict(zip(others, free, strict=False))}


#: The part of a window by which it can be moved: height and width, logical pixels.
_HANDLE = (24, 96)


def on_displays(window: Rect, displays: list[Rect]) -> Rect:
    """Return a window's place on the displays that exist now; logical pixels of the desktop.

    A window whose upper edge can be reached stays. Another one moves to the display that it covers
    most, else to the first, and is no larger than that.

    Args:
        window: The remembered place, with the frame where that is known.
        displays: The usable part of each display, at least one.
    """
    handle = Rect(window.x, window.y, window.width, _HANDLE[0])
    for display in displays:
        part = handle.intersection(display)
        if part and part.height == handle.height and part.width >= min(_HANDLE[1], window.width):
            fits = window.width <= display.width and window.height <= display.height
            return window if fits else _within(window, display)
    return _within(window, max(displays, key=lambda display: _shared(window, display)))


def _shared(window: Rect, display: Rect) -> int:
    part = window.intersection(display)
    return part.width * part.height if part else 0


def _within(window: Rect, display: Rect) -> Rect:
    """Return the nearest place inside a display."""
    width, height = min(window.width, display.width), min(window.height, display.height)
    x = min(max(window.x, display.x), display.right - width)
    y = min(max(window.y, display.y), display.bottom - height)
    return Rect(x, y, width, height)
