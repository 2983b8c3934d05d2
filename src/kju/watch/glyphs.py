"""Reading text consoles exactly: a cell is a character when its pixels are a known glyph.

A text mode of VGA and Linux's console on a framebuffer draw the same glyph, pixel for pixel, for
the same character, in a grid that begins at the top left. So the text is looked up, not recognised:
no letter is ever taken for another, and a whole screen takes milliseconds.

A glyph is two colours, and which of them is the ink is not said (a selected line is drawn
inverted), so glyphs are compared in a normal form: the bits that differ from the first pixel.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..geometry import Rect
from .looking import pixel_words
from .text import Text, line_of_cells

if TYPE_CHECKING:
    import numpy.typing as npt

    Bits = npt.NDArray[np.uint64]

HEIGHT = 16
#: Cells are 8 pixels wide; text modes of 720 pixels have a ninth column, no part of glyphs.
WIDTHS = (8, 9)
UNKNOWN = "\ufffd"

# Of the cells that are not blank so many are known where a screen is a text console: all but a
# logo and a pointer. A desktop, GRUB's graphical menu and a game in pixels come to 0.0 to 0.2.
_SHARE = 0.6

# Rows that a text cursor fills: VGA's and the two kinds that Linux draws.
_CURSORS = ((13, 15), (14, 16), (15, 16))

_MIX = np.uint64(0x9E3779B97F4A7C15)


class Font(NamedTuple):
    """Glyphs in their normal form, sorted by `mixed`.

    Attributes:
        mixed: One number per glyph, for the search.
        halves: ``(count, 2)``: the glyph itself, 16 bytes.
        codes: Its character.
    """

    mixed: Bits
    halves: Bits
    codes: npt.NDArray[np.uint32]


@cache
def console_font() -> Font:
    """The glyphs that come with kju, each also with a text cursor in its cell."""
    data = resources.files(__package__).joinpath("fonts/8x16.txt").read_text("ascii")
    rows = [line.split() for line in data.splitlines() if not line.startswith("#")]
    codes = np.array([int(code, 16) for code, _ in rows], np.uint32)
    glyphs = np.array([list(bytes.fromhex(glyph)) for _, glyph in rows], np.uint8)
    return make_font(codes, glyphs)


def make_font(codes: npt.NDArray[np.uint32], glyphs: npt.NDArray[np.uint8]) -> Font:
    """Prepare glyphs for the search.

    Args:
        codes: Characters' code points; of those that are drawn alike the first counts.
        glyphs: ``(count, 16)``: rows, the leftmost pixel is the highest bit.
    """
    forms, names = [glyphs], [codes]
    for first, last in _CURSORS:
        under = glyphs.copy()
        under[:, first:last] = 0xFF
        forms.append(under)
        names.append(codes)
    every, code = np.concatenate(forms), np.concatenate(names)
    inverted = every[:, 0] >> 7 == 1
    every[inverted] = ~every[inverted]
    halves = np.ascontiguousarray(every).view(np.uint64)
    mixed = _mix(halves)
    # Stable, and the plain glyphs stand first: they win over one with a cursor in it.
    _, first_of = np.unique(mixed, return_index=True)
    return Font(mixed[first_of], halves[first_of], code[first_of])


def read_cells(
    pixels: npt.NDArray[np.uint8], region: Rect, font: Font | None = None
) -> Text | None:
    """Read a text console.

    Args:
        pixels: The whole picture, ``(height, width, 4)`` or ``(height, width)`` uint8: the grid of
            cells begins at its origin.
        region: What of it to read: the cells whose middle lies there.
        font: The glyphs to know; by default those that come with kju.

    Returns:
        The text; None where the picture is no text console.
    """
    font = console_font() if font is None else font
    colours = pixel_words(pixels)
    best: Text | None = None
    most = 0.0
    for width in WIDTHS:
        if width == 9 and pixels.shape[1] % 9:
            continue
        cells = _inside(region, width, pixels.shape)
        if cells.area <= 0:
            continue
        codes = _look_up(colours, cells, width, font)
        drawn = int((codes != ord(" ")).sum())
        share = 1.0 - int((codes == ord(UNKNOWN)).sum()) / drawn if drawn else 1.0
        if share >= _SHARE and (best is None or share > most):
            best, most = _text(codes, cells, width), share
    return best


def _inside(region: Rect, width: int, shape: tuple[int, ...]) -> Rect:
    """The cells whose middle lies in *region*, counted in cells."""
    left = -((width // 2 - region.x) // width)
    top = -((HEIGHT // 2 - region.y) // HEIGHT)
    right = -((width // 2 - min(region.right, shape[1] // width * width)) // width)
    bottom = -((HEIGHT // 2 - min(region.bottom, shape[0] // HEIGHT * HEIGHT)) // HEIGHT)
    left, top = max(left, 0), max(top, 0)
    return Rect(left, top, max(right - left, 0), max(bottom - top, 0))


def _look_up(
    colours: npt.NDArray[np.uint32] | npt.NDArray[np.uint8], cells: Rect, width: int, font: Font
) -> npt.NDArray[np.uint32]:
    """The code points of cells, ``(rows, columns)``."""
    part = colours[
        cells.y * HEIGHT : cells.bottom * HEIGHT, cells.x * width : cells.right * width
    ].reshape(cells.height, HEIGHT, cells.width, width)
    first = part[:, :1, :, :1]
    differs = (part[..., :8] != first).transpose(0, 2, 1, 3)
    bits = np.packbits(differs, axis=-1).reshape(cells.height, cells.width, HEIGHT)
    halves = np.ascontiguousarray(bits).view(np.uint64)
    mixed = _mix(halves)
    at = np.minimum(np.searchsorted(font.mixed, mixed), len(font.mixed) - 1)
    known = (font.halves[at] == halves).all(-1)
    codes = np.where(known, font.codes[at], np.uint32(ord(UNKNOWN)))
    rows, columns = np.nonzero(known & (codes != ord(" ")))
    glyphs = part.transpose(0, 2, 1, 3)[rows, columns][..., :8].reshape(-1, HEIGHT * 8)
    inks = np.where(glyphs == glyphs[:, :1], np.uint32(0), glyphs)
    low = np.where(inks == 0, inks.max(1, keepdims=True, initial=0), inks).min(1, initial=1 << 24)
    many = low != inks.max(1, initial=0)  # more than two colours are a picture
    codes[rows[many], columns[many]] = ord(UNKNOWN)
    return codes.astype(np.uint32, copy=False)


def _mix(halves: Bits) -> Bits:
    with np.errstate(over="ignore"):
        mixed: Bits = (halves[..., 0] * _MIX) ^ (halves[..., 1] + (halves[..., 0] >> np.uint64(29)))
    return mixed


def _text(codes: npt.NDArray[np.uint32], cells: Rect, width: int) -> Text:
    lines = []
    for number, row in enumerate(codes):
        characters = "".join(map(chr, row.tolist()))
        if characters.strip():
            place = Rect(cells.x * width, (cells.y + number) * HEIGHT, cells.width * width, HEIGHT)
            lines.append(line_of_cells(characters, place))
    return Text(tuple(lines), "glyphs")
