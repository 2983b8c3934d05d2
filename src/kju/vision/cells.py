"""Cells of text consoles: the possible grids of a screen, and the glyphs that a cell may show.

- VGA's text modes and Linux's framebuffer console begin at the top left. Cells are 8 pixels wide;
  in text modes of 720 pixels they have a ninth column, which glyphs lack.
- Text modes of 40 columns and the BIOS's text in modes of 320 pixels draw each pixel twice.
- EDK2 (UEFI firmware) centres cells of 8x19 on the screen. The number of columns and rows is
  unknown, but only whether it is even or odd matters for the place of the cells.

A glyph has two colours, and either may be the ink (a selected line is inverted). So glyphs are
compared in a normal form: the bits that differ from the first pixel.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..surface.geometry import Rect

if TYPE_CHECKING:
    import numpy.typing as npt

    Bits = npt.NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)


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


class Font(NamedTuple):
    """Glyphs in their normal form, sorted by `mixed`.

    Attributes:
        mixed: One number per glyph, for the search.
        words: ``(count, n)``: the glyph itself, as `pack` makes it.
        codes: Its character's code point.
    """

    mixed: Bits
    words: Bits
    codes: npt.NDArray[np.uint32]

    def find(self, words: Bits) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
        """Look glyphs up.

        Args:
            words: ``(..., n)``: glyphs in their normal form.

        Returns:
            The code points, and True for each known glyph; both ``(...)``. The code point of an
            unknown glyph is undefined.
        """
        at = np.minimum(np.searchsorted(self.mixed, _mix(words)), len(self.mixed) - 1)
        return self.codes[at], (self.words[at] == words).all(-1)


@cache
def console_font(width: int, height: int) -> Font:
    """Load the glyphs of one size from kju's own files."""
    path = resources.files(__package__).joinpath(f"fonts/{width}x{height}.txt")
    rows = [line.split() for line in path.read_text("ascii").splitlines() if line[0] != "#"]
    codes = np.array([int(code, 16) for code, _ in rows], np.uint32)
    data = np.frombuffer(bytes.fromhex("".join(glyph for _, glyph in rows)), np.uint8)
    bits = np.unpackbits(data.reshape(len(rows), height, -1), axis=-1)[..., :width]
    return _make_font(codes, bits)


def _make_font(codes: npt.NDArray[np.uint32], bits: npt.NDArray[Any]) -> Font:
    """Prepare glyphs for the search.

    Args:
        codes: Code points; of characters with the same glyph the first is used.
        bits: ``(count, height, width)``: 1 is ink.
    """
    words = pack(bits != bits[:, :1, :1])
    mixed, first_of = np.unique(_mix(words), return_index=True)
    return Font(mixed, words[first_of], codes[first_of])


def pack(bits: npt.NDArray[np.bool_]) -> Bits:
    """Pack glyphs into words: ``(..., height, width)`` becomes ``(..., n)``."""
    return as_words(pack_rows(bits))


def pack_rows(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Pack rows of pixels into bytes: ``(..., width)`` becomes ``(..., bytes)``."""
    if bits.shape[-1] % 8:
        return np.packbits(bits, axis=-1)
    # Along an axis this takes eight times as long.
    return np.packbits(bits.ravel()).reshape(*bits.shape[:-1], bits.shape[-1] // 8)


def as_words(packed: npt.NDArray[np.uint8]) -> Bits:
    """Join the bytes of glyphs: ``(..., height, bytes)`` becomes ``(..., n)``."""
    flat = packed.reshape(*packed.shape[:-2], -1)
    missing = -flat.shape[-1] % 8
    if missing:
        flat = np.concatenate((flat, np.zeros((*flat.shape[:-1], missing), np.uint8)), axis=-1)
    return np.ascontiguousarray(flat).view(np.uint64)


def _mix(words: Bits) -> Bits:
    """Return one number per glyph, ``(..., n)`` to ``(...)``."""
    mixed = words[..., 0] * _MIX
    for number in range(1, words.shape[-1]):
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ words[..., number]) * _MIX
    return mixed
