from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.console_text import INK, PAPER, centred, console, draw, glyphs

from kju.surface.geometry import Rect
from kju.vision.cells import console_font
from kju.vision.glyphs import read_cells


def whole(pixels):
    return Rect(0, 0, pixels.shape[1], pixels.shape[0])


SCREENS = Path(__file__).parent / "screens"
FONTS = [(8, 8), (8, 13), (8, 14), (8, 15), (8, 16), (8, 18), (8, 19), (16, 32)]
LINES = ["debian login: root", "", "  [ OK ] 100% l1I| O0 ~#{}", "#" * 60]


@pytest.mark.parametrize("width", [8, 9])
def test_a_console_is_read_exactly(width):
    pixels = console(LINES, width=width)
    text = read_cells(pixels, whole(pixels))
    assert str(text) == "\n".join(line.strip() for line in LINES if line)
    assert text.reader == "glyphs"
    assert text.lines[0].words[1].rect == Rect(7 * width, 0, 6 * width, 16)
    assert text.lines[1].rect == Rect(2 * width, 32, 24 * width, 16)


@pytest.mark.parametrize("font", FONTS)
def test_every_printing_character_of_ascii_is_known(font):
    characters = "".join(map(chr, range(33, 127)))
    lines = [characters[:60], characters[60:]]
    pixels = console(lines, font=font, width=font[0])
    assert str(read_cells(pixels, whole(pixels))) == "\n".join(lines)


SIZES = ((640, 480), (800, 600), (1024, 768), (1280, 800), (1366, 768), (1920, 1080))
MODES = ((80, 25), (80, 50), (100, 31), (97, 32), (160, 42))


@pytest.mark.parametrize(
    ("size", "columns", "rows"),
    [
        (size, columns, rows)
        for size in SIZES
        for columns, rows in MODES
        if columns * 8 <= size[0] and rows * 19 <= size[1]
    ],
)
def test_cells_in_the_middle_of_a_screen(size, columns, rows):
    """EDK2 draws so; the margin depends on the columns and rows of its mode."""
    lines = ["UEFI Shell", "", "  ►Boot Manager◄ │ ↑↓=Move"]
    pixels = centred(console(lines, columns=columns, rows=rows, font=(8, 19)), *size)
    text = read_cells(pixels, whole(pixels))
    assert str(text) == "UEFI Shell\n►Boot Manager◄ │ ↑↓=Move"
    left, top = (size[0] - columns * 8) // 2, (size[1] - rows * 19) // 2
    assert text.lines[1].rect == Rect(left + 16, top + 38, 24 * 8, 19)


@pytest.mark.parametrize(
    ("font", "across", "down"),
    [
        *((font, 2, down) for font in ((8, 8), (8, 14), (8, 16)) for down in (1, 2)),
        ((8, 8), 1, 2),
    ],
)
def test_pixels_that_are_drawn_twice(font, across, down):
    """Text modes of 40 columns, and the BIOS's text in modes of 320 columns or 200 rows."""
    lines = ["l1I| forty columns", " ╔═╗ O0"]
    pixels = console(lines, columns=40, font=font, across=across, down=down)
    text = read_cells(pixels, whole(pixels))
    assert str(text) == "l1I| forty columns\n╔═╗ O0"
    wide, high = 8 * across, font[1] * down
    assert text.lines[1].words[1].rect == Rect(5 * wide, high, 2 * wide, high)


VGA = [((8, 8), 6, 8), ((8, 14), 11, 13), ((8, 16), 13, 15)]
FRAMEBUFFER = [((width, height), height - 2, height) for width, height in FONTS if height > 8]


@pytest.mark.parametrize(
    ("font", "first", "last", "inverts"),
    [
        *((*cursor, False) for cursor in VGA),
        *((*cursor, True) for cursor in FRAMEBUFFER),
        ((8, 19), 16, 19, True),
    ],
)
def test_cursor_over_a_letter_or_blank_is_read(font, first, last, inverts):
    """VGA fills rows with ink, Linux's framebuffer console and EDK2 invert them."""
    width = font[0]
    pixels = console(["login: x"], font=font, width=width)
    for column in (7, 8):
        shown = pixels.copy()
        part = shown[first:last, column * width : (column + 1) * width]
        part[...] = np.where(part == INK, PAPER, INK) if inverts else INK
        assert str(read_cells(shown, whole(shown))) == "login: x", column


@pytest.mark.parametrize("name", ["uefi-boot-manager", "uefi-shell", "vga-80x28", "vga-320x200"])
def test_screens_of_real_guests_are_read(name):
    """OVMF 2022.11 and SeaBIOS 1.16.3 drew these, and the text beside them was checked by eye."""
    rgb = np.asarray(Image.open(SCREENS / f"{name}.png").convert("RGB"))
    pixels = np.dstack((rgb[..., ::-1], np.zeros(rgb.shape[:2], np.uint8)))
    text = read_cells(pixels, whole(pixels))
    assert str(text) == (SCREENS / f"{name}.txt").read_text("utf-8").rstrip("\n")


def test_no_two_letters_of_ascii_are_drawn_alike():
    for font in FONTS:
        drawn = [glyph.tobytes() for c, glyph in glyphs(*font).items() if c.isascii()]
        assert len(set(drawn)) == 95, font


def test_text_in_any_colours_is_read():
    pixels = console(["plain text"])
    for column, character in enumerate("inverted"):
        draw(pixels, 3, column, character, ink=(160, 0, 0, 9), paper=(255, 255, 255, 0))
    assert str(read_cells(pixels, whole(pixels))) == "plain text\ninverted"


@pytest.mark.parametrize("rows", [(13, 15), (14, 16), (0, 16)])
def test_text_under_a_text_cursor_is_read(rows):
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


@pytest.mark.parametrize("font", [(8, 8), (8, 14), (8, 16)])
@pytest.mark.parametrize("size", [(800, 600), (1024, 768), (1280, 800)])
def test_a_console_in_the_middle_of_a_larger_screen(font, size):
    pixels = centred(console(LINES, font=font), *size)
    assert str(read_cells(pixels, whole(pixels))) == "\n".join(x.strip() for x in LINES if x)


@pytest.mark.parametrize("top", [0, 80, 240])
def test_text_beside_a_logo_is_read(top):
    pixels = console(["systemd[1]: Started Getty on tty1." for _ in range(20)])
    logo = np.random.default_rng(1).integers(0, 256, (80, 80, 4), np.uint8)
    pixels[top : top + 80, 400:480] = logo
    text = read_cells(pixels, whole(pixels))
    assert sum("systemd[1]: Started Getty on tty1." in line.text for line in text.lines) == 20


def test_lines_and_areas_are_not_text():
    """A desktop in areas of one colour, whose edges look like block elements."""
    areas = np.random.default_rng(0).integers(0, 256, (40, 64, 4), np.uint8)
    pixels = np.kron(areas, np.ones((20, 20, 1), np.uint8)).astype(np.uint8)
    assert read_cells(pixels, whole(pixels)) is None


def test_picture_that_is_not_a_console_is_not_read():
    pixels = np.random.default_rng(0).integers(0, 256, (400, 640, 4), np.uint8)
    assert read_cells(pixels, whole(pixels)) is None
    moved = np.roll(console(LINES), 3, 1)
    assert read_cells(moved, whole(moved)) is None


def test_cell_of_three_colours_is_not_a_character():
    pixels = console(["abcdefgh"])
    ys, xs = np.nonzero((pixels[:16, :8] == INK).all(-1))
    pixels[ys[0], xs[0]] = (1, 2, 3, 0)
    assert str(read_cells(pixels, whole(pixels))) == "\ufffdbcdefgh"


def test_a_blank_screen_has_no_text():
    pixels = np.full((400, 640, 4), 77, np.uint8)
    assert str(read_cells(pixels, whole(pixels))) == ""


def test_surface_with_one_byte_a_pixel_is_read():
    pixels = np.ascontiguousarray(console(LINES)[..., 0])
    assert "debian login: root" in str(read_cells(pixels, whole(pixels)))


def test_the_search_finds_each_glyph():
    font = console_font(8, 16)
    assert (np.diff(font.mixed.astype(object)) > 0).all()
    assert len(font.codes) > 1000
