"""Thumbnails: small pictures whose pixels are exact averages of the areas that they cover.

`shrink` makes one of any picture. `copy_thumbnail` makes one of the published pixels, or computes
again the parts of an earlier one that have changed since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import GeometryError, InconsistentError, UnavailableError
from ._core import thumbnail
from .formats import BYTES_PER_PIXEL, R8
from .geometry import Rect, bounding
from .model import NOTHING_TAKEN, Mark, Mode

if TYPE_CHECKING:
    import numpy.typing as npt

    from .consumer import Consumer

#: With more changed parts, the smallest rectangle around all is computed instead.
_MAX_PARTS = 64


def fitting(width: int, height: int, max_width: int, max_height: int) -> tuple[int, int]:
    """Return the size of a picture made smaller to fit, in its proportions; never a larger one.

    Raises:
        GeometryError: A side is below 1.
    """
    if min(width, height, max_width, max_height) < 1:
        raise GeometryError(
            f"a picture of {width}x{height} cannot be made to fit {max_width}x{max_height}"
        )
    if width * max_height >= height * max_width:
        fitted = min(width, max_width)
        return fitted, max(1, (height * fitted + width // 2) // width)
    fitted = min(height, max_height)
    return max(1, (width * fitted + height // 2) // height), fitted


def shrink(pixels: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return a picture made smaller by averaging areas.

    Args:
        pixels: Shape ``(height, width, 4)``, B G R X, or ``(height, width)``. Rows may be padded.
        width: At most that of *pixels*.
        height: At most that of *pixels*.

    Returns:
        The same kind of array, C-contiguous; X is 255. Each value is rounded to the nearest, halves
        up.

    Raises:
        GeometryError: The size is zero or larger than that of *pixels*, or they have another shape.
    """
    if width < 1 or height < 1:
        raise GeometryError(f"a picture cannot be made {width}x{height} pixels small")
    out = np.empty((height, width, *pixels.shape[2:]), np.uint8)
    shrink_into(out, pixels)
    return out


def shrink_into(
    out: npt.NDArray[np.uint8], pixels: npt.NDArray[np.uint8], part: Rect | None = None
) -> None:
    """Compute a part of a picture made smaller, with the same pixels as the whole would have.

    Args:
        out: The whole smaller picture, C-contiguous; it is changed in *part* only.
        pixels: As for `shrink`. They may change meanwhile.
        part: Pixels of *out*; everything by default.

    Raises:
        GeometryError: A side of *out* is larger than that of *pixels*, *part* leaves it, or the
            shapes do not agree; nothing is changed.
    """
    thumbnail(pixels, out, part or (0, 0, out.shape[1], out.shape[0]))


class Thumbnail(NamedTuple):
    """A thumbnail of a surface.

    Attributes:
        pixels: ``(height, width, 4)``, B G R X with X = 255, or ``(height, width)``; read-only.
        mode: The mode of the surface.
        mark: Later changes are not in it.
    """

    pixels: npt.NDArray[np.uint8]
    mode: Mode
    mark: Mark


def copy_thumbnail(
    consumer: Consumer, max_width: int, max_height: int, last: Thumbnail | None, tries: int
) -> Thumbnail:
    """Return a thumbnail of the published pixels.

    Args:
        consumer: The surface.
        max_width: The most pixels of a row.
        max_height: The most rows.
        last: The thumbnail before: only the parts that have changed since are computed, in a copy
            of it. If nothing has changed it is returned.
        tries: Attempts before giving up, where the mode changes during each.

    Raises:
        UnavailableError: The surface has no mode yet.
        GeometryError: A side is below 1.
        FormatError: The mode or the tiles in the memory are not valid.
        InconsistentError: The mode changed during each attempt.
    """
    for _ in range(tries):
        change = consumer.changes(last.mark if last is not None else NOTHING_TAKEN)
        mode = change.mode
        if not mode.epoch:
            raise UnavailableError("nothing has been published yet")
        width, height = fitting(mode.width, mode.height, max_width, max_height)
        channels = () if mode.fourcc == R8 else (BYTES_PER_PIXEL[mode.fourcc],)
        shape = height, width, *channels
        if last is None or change.everything or last.pixels.shape != shape:
            out = np.empty(shape, np.uint8)
            parts = [Rect(0, 0, width, height)]
        elif not change.rects:
            return last
        else:
            out = last.pixels.copy()
            parts = parts_of(change.rects, mode, width, height)
        if all(
            consumer.reader.thumbnail(out, width, height, mode.epoch, part) >= 0 for part in parts
        ):
            out.flags.writeable = False
            return Thumbnail(out, mode, change.mark)
    raise InconsistentError(f"the mode changed during each of {tries} thumbnails")


def parts_of(rects: Sequence[Rect], mode: Mode, width: int, height: int) -> list[Rect]:
    """Return the parts of a thumbnail that show these rectangles of a surface."""
    parts = []
    for rect in rects:
        left, top = rect.x * width // mode.width, rect.y * height // mode.height
        right = -(-rect.right * width // mode.width)
        bottom = -(-rect.bottom * height // mode.height)
        parts.append(Rect(left, top, right - left, bottom - top))
    return parts if len(parts) <= _MAX_PARTS else [bounding(parts)]
