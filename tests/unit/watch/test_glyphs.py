import numpy as np
import pytest
from console_text import INK, PAPER, console, draw

from kju.geometry import Rect
from kju.watch.console_fonts import console_font
from kju.watch.glyphs import read_cells


def whole(pixels):
    return Rect(0, 0, pixels.shape[1], pixels.shape[0])


LINES = ["debian login: root", "", "  [ OK ] 100% l1I| O0 ~#{}", "#" * 60]


@pytest.mark.parametrize("width", [8, 9])
def test_a_console_is_read_exactly(width):
    pixels = console(LINES, width=width)
    text = read_cells(pixels, whole(pixels))
    assert str(text) == "\n".join(line.strip() for line in LINES if line)
    assert text.reader == "glyphs"
    assert text.lines[0].words[1].rect == Rect(7 * width, 0, 6 * width, 16)
    assert text.lines[1].rect == Rect(2 * width, 32, 24 * width, 16)


def test_every_printing_character_of_ascii_is_known():
    characters = "".join(map(chr, range(33, 127)))
    pixels = console([characters[:60], characters[60:]])
    assert str(read_cells(pixels, whole(pixels))) == f"{characters[:60]}\n{characters[60:]}"


def test_colours_and_selection_do_not_matter():
    pixels = console(["plain text"])
    for column, character in enumerate("inverted"):
        draw(pixels, 3, column, character, ink=(160, 0, 0, 9), paper=(255, 255, 255, 0))
    assert str(read_cells(pixels, whole(pixels))) == "plain text\ninverted"


@pytest.mark.parametrize("rows", [(13, 15), (14, 16), (0, 16)])
def test_a_text_cursor_hides_nothing(rows):
    """An underline; or a block, which inverts its cell."""
    pixels = console(["login: x"])
    cell = pixels[slice(*rows), 7 * 8 : 8 * 8]
    cell[...] = np.where(cell == INK, PAPER, INK) if rows == (0, 16) else INK
    beside = pixels[slice(*rows), 8 * 8 : 9 * 8]
    beside[...] = INK
    assert str(read_cells(pixels, whole(pixels))) == "login: x"


def test_only_the_region_is_read():
    pixels = console(LINES)
    assert str(read_cells(pixels, Rect(56, 0, 48, 16))) == "login:"
    assert str(read_cells(pixels, Rect(53, 3, 52, 10))) == "login:"
    assert read_cells(pixels, Rect(0, 0, 3, 3)) is None


def test_what_is_no_console_is_not_read():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 640, 4), np.uint8)
    assert read_cells(pixels, whole(pixels)) is None
    moved = np.roll(console(LINES), 3, 1)
    assert read_cells(moved, whole(moved)) is None


def test_a_cell_of_three_colours_is_no_character():
    pixels = console(["abcdefgh"])
    ys, xs = np.nonzero((pixels[:16, :8] == INK).all(-1))
    pixels[ys[0], xs[0]] = (1, 2, 3, 0)
    assert str(read_cells(pixels, whole(pixels))) == "\ufffdbcdefgh"


def test_a_blank_screen_has_no_text():
    pixels = np.full((400, 640, 4), 77, np.uint8)
    assert str(read_cells(pixels, whole(pixels))) == ""


def test_one_byte_a_pixel():
    pixels = np.ascontiguousarray(console(LINES)[..., 0])
    assert "debian login: root" in str(read_cells(pixels, whole(pixels)))


def test_the_search_finds_each_glyph():
    font = console_font(8, 16)
    assert (np.diff(font.mixed.astype(object)) > 0).all()
    assert len(font.codes) > 1000
