"""Exact reader of text consoles: a cell is a character when its pixels are a known glyph.

VGA text modes, Linux framebuffer consoles and UEFI firmware draw the same glyph, pixel for pixel,
for the same character, in a grid. So the text is looked up, not recognised: letters are never
confused, and a whole screen takes milliseconds.

The grid is unknown. Each possible one is tried on some rows of text (`_likely`), then on all rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..surface.geometry import Rect
from .areas import pixel_words
from .cells import Font, Grid, as_words, console_font, grids, pack, pack_rows
from .text import Text, line_of_cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Codes = npt.NDArray[np.uint32]
    Colours = npt.NDArray[Any]

UNKNOWN = "\ufffd"

# Minimum share of known cells, among those that are not blank, in a text console; the rest may be a
# logo and a pointer. A desktop, GRUB's graphical menu and a game in pixels reach 0.0 to 0.2.
_MIN_KNOWN = 0.6
# Rows of text on which a grid is tried, and the share of known cells from which all rows are tried
# (a logo may fill some). From the second share on no other grid is tried.
_ROWS_TRIED = 6
_MIN_TRIED = 0.3
_CERTAIN = 0.9
# Every glyph is high enough to have pixels in one of so many rows.
_ROW_STEP = 3
# A screen has one text cursor; more unknown cells than this are not cursors.
_MAX_CURSORS = 2


# Lines and plain areas of any screen look like these, so they do not count for a text console.
_SHAPES = np.zeros(0x10000, np.bool_)
_SHAPES[[ord(c) for c in " -_|"]] = True
_SHAPES[0x2500:0x25A0] = True


class _Tried(NamedTuple):
    """A grid, its cells, and the share of known cells in some rows."""

    grid: Grid
    cells: Rect
    share: float


def read_cells(pixels: npt.NDArray[np.uint8], region: Rect) -> Text | None:
    """Read a text console.

    Args:
        pixels: The whole picture, ``(height, width, 4)`` or ``(height, width)`` uint8; its size
            determines the possible grids.
        region: The part to read: cells whose middle is in it.

    Returns:
        The text; None where the picture is not a text console.
    """
    colours = pixel_words(pixels)
    for grid, cells, _ in _likely(colours, region):
        rows = np.arange(cells.y, cells.bottom)
        codes = _look_up(colours, grid, rows, cells)
        if _share(codes) >= _MIN_KNOWN:
            return _text(codes, grid, cells)
    return None


def _likely(colours: Colours, region: Rect) -> Iterator[_Tried]:
    """Yield the grids in which a part of the region can be read, the likeliest first."""
    height, width = colours.shape
    part = colours[region.y : region.bottom : _ROW_STEP, region.x : region.right]
    drawn = region.y + _ROW_STEP * np.flatnonzero((part[:, 1:] != part[:, :-1]).any(1))
    tried = []
    for grid in grids(width, height):
        cells = grid.cells_in(region, (width, height))
        if cells.area <= 0:
            continue
        rows = np.unique((drawn - grid.y) // grid.height)
        rows = rows[(rows >= cells.y) & (rows < cells.bottom)]
        if len(rows):
            share = _share_of_some(colours, grid, rows, cells)
        else:
            share = 0.0 if len(drawn) else 1.0
        if share >= _CERTAIN:
            yield _Tried(grid, cells, share)
        elif share >= _MIN_TRIED:
            tried.append(_Tried(grid, cells, share))
    yield from sorted(tried, key=lambda one: -one.share)


def _share_of_some(colours: Colours, grid: Grid, rows: npt.NDArray[Any], cells: Rect) -> float:
    """Return the share of known cells in a few rows; in more where any cell is known."""
    share = 0.0
    for count in (_ROWS_TRIED // 2, _ROWS_TRIED):
        some = rows
        if len(rows) > count:
            some = rows[np.linspace(0, len(rows) - 1, count + 2).astype(int)[1:-1]]
        share = _share(_look_up(colours, grid, some, cells))
        if not share or len(rows) <= count:
            break
    return share


def _share(codes: Codes) -> float:
    """Return the share of known cells among those that are neither blank nor a line."""
    unknown = int((codes == ord(UNKNOWN)).sum())
    known = codes.size - int(_SHAPES[codes].sum()) - unknown
    return known / (known + unknown) if unknown else 1.0


def _look_up(colours: Colours, grid: Grid, rows: npt.NDArray[Any], cells: Rect) -> Codes:
    """Return the code points of some rows of cells, ``(rows, columns)``."""
    font = console_font(*grid.glyph)
    part = _cells(colours, grid, rows, cells)
    wide = grid.glyph[0] * grid.across
    bits = part[:, :: grid.down, :, : wide : grid.across] != part[:, :1, :, :1]
    codes, known = font.find(as_words(pack_rows(bits).transpose(0, 2, 1, 3)))
    codes = np.where(known, codes, np.uint32(ord(UNKNOWN)))
    if 0 < (~known).sum() <= _MAX_CURSORS:
        for row, column in np.argwhere(~known):
            codes[row, column] = _under_a_cursor(bits[row, :, column], font)
    at = np.nonzero((codes != ord(UNKNOWN)) & (codes != ord(" ")))
    glyphs = part.transpose(0, 2, 1, 3)[at][..., :wide]
    once = glyphs[:, :: grid.down, :: grid.across]
    picture = _more_than_two(once, bits.transpose(0, 2, 1, 3)[at])
    if grid.across * grid.down > 1:
        picture |= (once.repeat(grid.down, 1).repeat(grid.across, 2) != glyphs).any((1, 2))
    codes[at[0][picture], at[1][picture]] = ord(UNKNOWN)
    return codes


def _cells(colours: Colours, grid: Grid, rows: npt.NDArray[Any], cells: Rect) -> Colours:
    """Return the pixels of some rows of cells: ``(rows, height, columns, width)``."""
    left = grid.x + cells.x * grid.width
    right = left + cells.width * grid.width
    if len(rows) == cells.height:  # all of them: no copy
        top = grid.y + cells.y * grid.height
        part = colours[top : top + cells.height * grid.height, left:right]
    else:
        lines = grid.y + rows[:, None] * grid.height + np.arange(grid.height)
        part = colours[lines.ravel(), left:right]
    return part.reshape(len(rows), grid.height, cells.width, grid.width)


def _more_than_two(glyphs: Colours, bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which glyphs, ``(count, height, width)``, have a third colour and so are pictures.

    Args:
        glyphs: Their pixels.
        bits: Which of them differ from the first one.
    """
    count, height, width = glyphs.shape
    pixels, ink = glyphs.reshape(count, height * width), bits.reshape(count, height * width)
    first = pixels[np.arange(count), ink.argmax(1)]
    other: npt.NDArray[np.bool_] = ((pixels != first[:, None]) & ink).any(1)
    return other


def _under_a_cursor(bits: npt.NDArray[np.bool_], font: Font) -> int:
    """Return the character of an unknown cell that a text cursor covers.

    VGA fills rows of the cell with ink; Linux's framebuffer console and EDK2 invert them.
    """
    found = []
    for first, last in _cursors(len(bits)):
        inverted = bits.copy()
        inverted[first:last] ^= True
        (code,), (known,) = font.find(pack((inverted ^ inverted[0, 0])[None]))
        if code == ord(" ") and known:
            return ord(" ")
        if known:
            found.append(int(code))
    if found:
        return found[0]
    for first, last in _cursors(len(bits)):
        if bits[first:last].all() or not bits[first:last].any():
            shown = np.ones_like(bits)
            shown[first:last] = False
            same = font.codes[(((font.words ^ pack(bits)) & pack(shown)) == 0).all(-1)]
            if len(same):
                return int(same.min())
    return ord(UNKNOWN)


def _cursors(height: int) -> Iterator[tuple[int, int]]:
    """Yield the rows of possible text cursors: underlines, then blocks from a third of a cell on.

    The BIOS and Linux in a text mode leave a row below an underline, Linux on a framebuffer none.
    EDK2's underline has three rows. Linux's blocks reach the last row, or the one before it.
    """
    for last in (height - 1, height, height - 2):
        yield last - 2, last
        yield last - 1, last
    yield height - 3, height
    for first in (height * 2 // 3, height // 2, height // 3):
        yield first, height
        yield first, height - 1


def _text(codes: Codes, grid: Grid, cells: Rect) -> Text:
    lines = []
    for number, row in enumerate(codes):
        characters = "".join(map(chr, row.tolist()))
        if characters.strip():
            left = grid.x + cells.x * grid.width
            top = grid.y + (cells.y + number) * grid.height
            place = Rect(left, top, cells.width * grid.width, grid.height)
            lines.append(line_of_cells(characters, place))
    return Text(tuple(lines), "glyphs")
