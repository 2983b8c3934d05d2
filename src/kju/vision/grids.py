"""Grids of text consoles' cells, for a screen of a given size.

- VGA's text modes and Linux's framebuffer console begin at the top left. Cells are 8 pixels wide;
  in text modes of 720 pixels they have a ninth column, which glyphs lack.
- Text modes of 40 columns and the BIOS's text in modes of 320 pixels draw each pixel twice.
- EDK2 (UEFI firmware) centres cells of 8x19 on the screen. The number of columns and rows is
  unknown, but only whether it is even or odd matters for the place of the cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..surface.geometry import Rect


class Grid(NamedTuple):
    """Cells of equal size, side by side. Sizes and places are pixels of the screen.

    Attributes:
        width: Of a cell.
        height: Of a cell.
        glyph: The width and height of its glyph, as the font has it.
        across: Number of times that each column of the glyph is drawn.
        down: Number of times that each row is drawn.
        x: Left edge of the first cell that is not outside the screen.
        y: Top edge of the first cell.
    """

    width: int
    height: int
    glyph: tuple[int, int]
    across: int = 1
    down: int = 1
    x: int = 0
    y: int = 0

    def cells_in(self, region: Rect, screen: tuple[int, int]) -> Rect:
        """Return the cells whose middle is in a region, counted in cells; all are whole.

        Args:
            region: Pixels.
            screen: Its width and height.
        """
        first_x, first_y = region.x - self.x, region.y - self.y
        left = max(-((self.width // 2 - first_x) // self.width), 0)
        top = max(-((self.height // 2 - first_y) // self.height), 0)
        last_x = min(first_x + region.width, (screen[0] - self.x) // self.width * self.width)
        last_y = min(first_y + region.height, (screen[1] - self.y) // self.height * self.height)
        right = -((self.width // 2 - last_x) // self.width)
        bottom = -((self.height // 2 - last_y) // self.height)
        return Rect(left, top, max(right - left, 0), max(bottom - top, 0))


def grids(width: int, height: int) -> Iterator[Grid]:
    """Yield the possible grids of a screen, the most frequent first.

    Args:
        width: Of the screen, pixels.
        height: Of the screen, pixels.
    """
    for rows in (16, 8, 14):
        yield Grid(8, rows, (8, rows))
        if width % 9 == 0:
            yield Grid(9, rows, (8, rows))
    yield from _centred(width, height, 8, 19)
    for rows in (8, 14, 16):
        yield Grid(16, rows, (8, rows), across=2)
        yield Grid(16, 2 * rows, (8, rows), across=2, down=2)
    yield Grid(8, 16, (8, 8), down=2)
    for rows in (13, 15, 18):
        yield Grid(8, rows, (8, rows))
    yield Grid(16, 32, (16, 32))
    # A console in the middle of a larger screen.
    for rows in (16, 8, 14):
        yield from (grid for grid in _centred(width, height, 8, rows) if (grid.x, grid.y) != (0, 0))


def _centred(width: int, height: int, cell_width: int, cell_height: int) -> Iterator[Grid]:
    """Yield the centred grids, with an even or odd number of columns and rows."""
    places = {
        ((width - columns * cell_width) // 2 % cell_width, (height - rows * cell_height) // 2)
        for columns in (0, 1)
        for rows in (0, 1)
    }
    for x, y in sorted((x, y % cell_height) for x, y in places):
        yield Grid(cell_width, cell_height, (cell_width, cell_height), x=x, y=y)
