"""Pictures that were given to a model, and their coordinates. I/O-free.

A model points at pixels of the picture that it was given, which may be a part of the screen and
smaller than it. `View.to_screen` maps such a point back. A picture pixel covers a rectangle of the
screen; its middle is meant.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

import numpy as np

from .. import encoding
from ..errors import GeometryError, UsageError
from ..surface import Mark
from ..surface.geometry import Rect
from ..vision.areas import check_rect, cut_out

if TYPE_CHECKING:
    import numpy.typing as npt

#: The range of normalised coordinates.
_NORMALISED = 1000
#: The smallest side of a picture.
MIN_SIDE = 16


class Size(NamedTuple):
    """The size of a picture or a screen, in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class View:
    """A picture of a screen, without its pixels.

    Attributes:
        screen: The size of the screen.
        region: The part of the screen that the picture shows.
        size: The size of the picture.
        mark: The state of the screen that it shows.
        normalised: Points are 0 to 1000 of the width and height, in place of pixels.
    """

    screen: Size
    region: Rect
    size: Size
    mark: Mark
    normalised: bool = False

    @property
    def range_words(self) -> str:
        """The range of coordinates, for messages."""
        if self.normalised:
            return f"x and y are 0 to {_NORMALISED}, of the picture's width and height"
        width, height = self.size
        return f"the picture is {self.size}: x is 0 to {width - 1}, y is 0 to {height - 1}"

    def to_screen(self, x: object, y: object) -> tuple[int, int]:
        """Return the screen's pixel that a point of the picture means.

        Raises:
            GeometryError: The point is not two numbers inside the picture; the message has its
                size.
        """
        across = self._share(x, y, x, self.size.width)
        down = self._share(x, y, y, self.size.height)
        region = self.region
        return (
            region.x + min(int(across * region.width), region.width - 1),
            region.y + min(int(down * region.height), region.height - 1),
        )

    def _share(self, x: object, y: object, value: object, side: int) -> float:
        """Return a coordinate as a share of its side, from 0 to 1."""
        if not _is_number(value):
            raise GeometryError(
                f"a point is two numbers, not {x!r:.20}, {y!r:.20}; {self.range_words}"
            )
        inside = 0 <= value <= _NORMALISED if self.normalised else 0 <= value < side
        if not inside:
            raise GeometryError(
                f"the point {x!r:.20}, {y!r:.20} is outside of the picture; {self.range_words}"
            )
        if self.normalised:
            return value / _NORMALISED
        return (math.floor(value) + 0.5) / side

    def to_picture(self, x: int, y: int) -> tuple[int, int]:
        """Return the point of the picture that shows a pixel of the screen, or the nearest one."""
        found = []
        for at, begin, span, side in (
            (x, self.region.x, self.region.width, self.size.width),
            (y, self.region.y, self.region.height, self.size.height),
        ):
            share = min(max((at - begin + 0.5) / span, 0.0), 1.0)
            units = _NORMALISED if self.normalised else side
            found.append(min(int(share * units), units if self.normalised else side - 1))
        return found[0], found[1]

    def to_region(self, corners: tuple[object, object, object, object]) -> Rect:
        """Return the part of the screen between two corners of the picture.

        Args:
            corners: x and y of the left upper corner, and of the right lower one, which is outside
                of the part.

        Raises:
            GeometryError: A corner is outside of the picture, or the part is empty.
        """
        x0, y0, x1, y1 = corners
        region = self.region
        left, right = (self._edge(x, self.size.width, region.width) for x in (x0, x1))
        top, bottom = (self._edge(y, self.size.height, region.height) for y in (y0, y1))
        part = Rect(int(left), int(top), math.ceil(right), math.ceil(bottom))
        if part.width <= part.x or part.height <= part.y:
            raise GeometryError(
                f"the region {list(corners)} is empty: give the left upper corner, then the right"
                f" lower one; {self.range_words}"
            )
        return Rect(region.x + part.x, region.y + part.y, part.width - part.x, part.height - part.y)

    def _edge(self, value: object, side: int, span: int) -> float:
        """Return an edge of a region, in pixels of the part of the screen."""
        limit = _NORMALISED if self.normalised else side
        if not _is_number(value) or not 0 <= value <= limit:
            raise GeometryError(
                f"an edge of a region is a number inside the picture, not {value!r:.20};"
                f" {self.range_words}"
            )
        return value * span / limit


def _is_number(value: object) -> TypeGuard[float]:
    """Check for a finite number that is not True or False."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def view_of(
    screen: Size,
    mark: Mark,
    *,
    region: tuple[int, int, int, int] | None = None,
    most: tuple[int, int] | None = None,
    normalised: bool = False,
    scale: float = 1.0,
) -> View:
    """Return the view of a screen, or of a part, that fits into a size; never larger than it is.

    Args:
        screen: The size of the screen.
        mark: Its state.
        region: The part; None is everything.
        most: The largest width and height of the picture; None is the part's own size.
        normalised: As of `View`.
        scale: The size of the picture as a share of the one that fits; above 0 and at most 1.

    Raises:
        GeometryError: The region leaves the screen.
        UsageError: The region is empty, the size is smaller than 16 pixels, or the scale is not
            a number above 0 and at most 1.
    """
    whole = Rect(0, 0, *screen)
    part = whole if region is None else check_rect(region, "the region")
    if not whole.contains(part):
        raise GeometryError(
            f"the region {part.width}x{part.height} at {part.x},{part.y} leaves the {screen} screen"
        )
    if not _is_number(scale) or not 0 < scale <= 1:
        raise UsageError(f"a scale is a number above 0 and at most 1, not {scale!r:.40}")
    if most is not None:
        if min(most) < MIN_SIDE:
            raise UsageError(f"a picture has at least {MIN_SIDE} pixels a side, not {most!r:.40}")
        scale *= min(most[0] / part.width, most[1] / part.height, 1.0)
    size = Size(max(round(part.width * scale), 1), max(round(part.height * scale), 1))
    return View(screen, part, size, mark, normalised)


class Picture(NamedTuple):
    """A picture for a model.

    Attributes:
        view: The part of the screen that it shows, and its size.
        pixels: ``(height, width, 3)`` uint8, R G B.
    """

    view: View
    pixels: npt.NDArray[np.uint8]

    def png(self) -> bytes:
        """Return the picture as a PNG."""
        return encoding.png(self.pixels)

    def jpeg(self) -> bytes:
        """Return the picture as a JPEG."""
        return encoding.jpeg(self.pixels)

    def base64(self) -> str:
        """Return the PNG as Base64, as the interfaces of models take it."""
        return base64.b64encode(self.png()).decode()

    def __repr__(self) -> str:
        return f"<Picture {self.view.size} of version {self.view.mark.version}>"


def picture_of(frame: npt.NDArray[np.uint8], view: View) -> Picture:
    """Return the picture of a view.

    Args:
        frame: The whole screen: R G B, or one byte a pixel.
        view: A view of it.
    """
    plain = np.asarray(frame)
    if plain.ndim == 2:
        plain = np.repeat(plain[..., np.newaxis], 3, 2)
    part = np.ascontiguousarray(cut_out(plain, view.region))
    if part.shape[1::-1] != view.size:
        from PIL import Image

        image = Image.fromarray(part).resize(view.size, Image.Resampling.LANCZOS)
        part = np.asarray(image)
    return Picture(view, part)
