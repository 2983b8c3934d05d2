"""Choosing a pixel or a rectangle of the picture: by pointer or by keys. I/O-free.

While a choice is made nothing is sent to the guest. Coordinates are pixels of the guest's screen.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ...surface.geometry import Rect
from ...vision.areas import cut_out

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: Guest pixels across the loupe, odd: the chosen one is in the middle.
LOUPE_CELLS = 17
#: Least side of one guest pixel in the loupe, logical pixels.
LOUPE_SCALE = 10
#: Pixels that an arrow key moves the point with Shift.
FAR_STEP = 10


class Purpose(Enum):
    """The purpose of a choice; the value is the hint that the view shows."""

    LOUPE = "Arrow keys move. Ctrl+C copies the colour, N cuts a needle, Esc closes."
    TEXT = "Drag over the text to copy, or press Enter at two corners. Esc cancels."
    NEEDLE = "Drag over the picture to cut out, or press Enter at two corners. Esc cancels."

    @property
    def selects(self) -> bool:
        """True where a rectangle is chosen."""
        return self is not Purpose.LOUPE


class Picking:
    """The state of a choice.

    Args:
        width: Of the picture, pixels.
        height: Of the picture.
        at: The pixel under the pointer.

    Attributes:
        at: The current pixel.
    """

    def __init__(self, width: int, height: int, at: tuple[int, int]) -> None:
        self._size = width, height
        self._corner: tuple[int, int] | None = None
        self.at: tuple[int, int] = self._inside(at)

    def resize(self, width: int, height: int) -> None:
        """Take another size of the picture; a rectangle that was begun is dropped."""
        if (width, height) != self._size:
            self._size = width, height
            self._corner = None
            self.at = self._inside(self.at)

    def move(self, at: tuple[int, int]) -> None:
        """Move to a pixel."""
        self.at = self._inside(at)

    def step(self, dx: int, dy: int) -> None:
        """Move by a distance."""
        self.move((self.at[0] + dx, self.at[1] + dy))

    def begin(self) -> None:
        """Begin a rectangle at the current pixel."""
        self._corner = self.at

    def cancel(self) -> bool:
        """Drop the rectangle; return False if none was begun."""
        begun, self._corner = self._corner is not None, None
        return begun

    @property
    def begun(self) -> bool:
        """True after `begin`."""
        return self._corner is not None

    @property
    def rect(self) -> Rect | None:
        """The rectangle from the corner to the current pixel; None before `begin`."""
        if self._corner is None:
            return None
        (x1, y1), (x2, y2) = self._corner, self.at
        return Rect(min(x1, x2), min(y1, y2), abs(x1 - x2) + 1, abs(y1 - y2) + 1)

    def finish(self) -> Rect | None:
        """End the rectangle and return it; None for a single pixel, which was a click."""
        rect, self._corner = self.rect, None
        return rect if rect is not None and rect.area > 1 else None

    def _inside(self, at: tuple[int, int]) -> tuple[int, int]:
        return min(max(at[0], 0), self._size[0] - 1), min(max(at[1], 0), self._size[1] - 1)


class Loupe(NamedTuple):
    """The contents of the loupe.

    Attributes:
        pixels: ``(LOUPE_CELLS, LOUPE_CELLS, 4)``, B G R X.
        inside: True for the cells that are pixels of the picture.
        at: The pixel in the middle.
        colour: Its colour, ``#rrggbb``.
    """

    pixels: Pixels
    inside: npt.NDArray[np.bool_]
    at: tuple[int, int]
    colour: str

    @property
    def words(self) -> str:
        """The coordinates and the colour."""
        return f"{self.at[0]}, {self.at[1]}   {self.colour}"


def loupe(picture: Pixels, at: tuple[int, int]) -> Loupe:
    """Return the loupe's contents around a pixel of a picture.

    Args:
        picture: ``(height, width, 4)``, B G R X, or grey, ``(height, width)``.
        at: The pixel, inside the picture.
    """
    height, width = picture.shape[:2]
    half = LOUPE_CELLS // 2
    cells = np.zeros((LOUPE_CELLS, LOUPE_CELLS, 4), np.uint8)
    inside = np.zeros((LOUPE_CELLS, LOUPE_CELLS), bool)
    around = Rect(at[0] - half, at[1] - half, LOUPE_CELLS, LOUPE_CELLS)
    part = around.intersection(Rect(0, 0, width, height))
    if part is not None:
        place = Rect(part.x - around.x, part.y - around.y, part.width, part.height)
        pixels = cut_out(np.asarray(picture), part)
        cut_out(cells, place)[..., :3] = pixels[..., :3] if pixels.ndim == 3 else pixels[..., None]
        cut_out(inside, place)[...] = True
    blue, green, red = (int(value) for value in cells[half, half, :3])
    return Loupe(cells, inside, at, f"#{red:02x}{green:02x}{blue:02x}")


def loupe_place(
    pointer: tuple[int, int], size: tuple[int, int], view: tuple[int, int], gap: int
) -> tuple[int, int]:
    """Return the loupe's top left corner: beside the pointer, never over it, inside the view.

    Args:
        pointer: The pointer in the view.
        size: Width and height of the loupe.
        view: Width and height of the view.
        gap: Distance from the pointer.
    """
    (x, y), (width, height) = pointer, size
    left = x + gap if x + gap + width <= view[0] else x - gap - width
    top = y + gap if y + gap + height <= view[1] else y - gap - height
    return max(0, min(left, view[0] - width)), max(0, min(top, view[1] - height))
