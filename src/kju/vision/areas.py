"""Rectangles of pictures: checks, views, differences, and text for messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UsageError
from ..surface.geometry import Rect

if TYPE_CHECKING:
    import numpy.typing as npt


def check_rect(rect: tuple[int, int, int, int], name: str) -> Rect:
    """Return a user's rectangle.

    Args:
        rect: x, y, width and height.
        name: Its name in messages, such as ``the region``.

    Raises:
        UsageError: It is empty or begins outside the screen.
    """
    try:
        x, y, width, height = map(int, rect)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is x, y, width and height, not {rect!r}") from error
    if x < 0 or y < 0 or width <= 0 or height <= 0:
        raise UsageError(
            f"{name} {width}x{height} at {x},{y}: width and height must be 1 or more, x and y 0 or"
            " more"
        )
    return Rect(x, y, width, height)


def cut_out(pixels: npt.NDArray[Any], rect: Rect) -> npt.NDArray[Any]:
    """Return a view of a rectangle of a picture that contains it."""
    return pixels[rect.y : rect.bottom, rect.x : rect.right]


def pixel_words(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """Return one number per pixel, without the fourth byte, which is undefined."""
    if pixels.ndim == 2:
        return np.asarray(pixels)
    words = np.ascontiguousarray(pixels).view(np.ndarray).view("<u4")[..., 0]
    return words & np.uint32(0x00FFFFFF)


def differing(
    before: npt.NDArray[np.uint8],
    after: npt.NDArray[np.uint8],
    rect: Rect,
    ignored: Iterable[Rect] = (),
) -> npt.NDArray[np.bool_]:
    """Return where two pictures differ in a rectangle; shape ``(rect.height, rect.width)``.

    Args:
        before: A picture.
        after: Another one of the same size.
        rect: The rectangle; inside both.
        ignored: Rectangles that are not compared.
    """
    mask: npt.NDArray[np.bool_]
    mask = pixel_words(cut_out(before, rect)) != pixel_words(cut_out(after, rect))
    for hidden in ignored:
        if part := hidden.intersection(rect):
            cut_out(mask, part._replace(x=part.x - rect.x, y=part.y - rect.y))[...] = False
    return mask


def bounds_of(mask: npt.NDArray[np.bool_]) -> Rect | None:
    """Return the smallest rectangle around the True elements of a mask; None without any."""
    rows = np.flatnonzero(mask.any(1))
    if not rows.size:
        return None
    columns = np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def rect_text(rect: Rect) -> str:
    """Return a rectangle as messages show it."""
    return f"{rect.width}x{rect.height} at {rect.x},{rect.y}"
