"""Text as consoles draw it, from the glyphs that come with kju."""

from functools import cache
from importlib import resources

import numpy as np

INK, PAPER = (170, 170, 170, 0), (0, 0, 0, 0)


@cache
def glyphs(width, height):
    """Each character's pixels in a font that comes with kju; of several the first in the file."""
    data = resources.files("kju.vision").joinpath(f"fonts/{width}x{height}.txt").read_text()
    found = {}
    for line in data.splitlines():
        if not line.startswith("#"):
            code, rows = line.split()
            bits = np.unpackbits(np.frombuffer(bytes.fromhex(rows), np.uint8))
            found.setdefault(chr(int(code, 16)), bits.reshape(height, -1)[:, :width].astype(bool))
    return found


def console(lines, *, columns=80, rows=25, width=8, font=(8, 16), across=1, down=1):
    """A text screen, as a VGA or a framebuffer console draws it.

    Args:
        width: Of a cell before it is drawn larger: 9 for text modes of 720 pixels.
        font: The width and height of its glyphs.
        across: How often each column of pixels is drawn.
        down: How often each row of pixels is drawn.
    """
    pixels = np.zeros((rows * font[1], columns * width, 4), np.uint8)
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            draw(pixels, row, column, character, width=width, font=font)
    return pixels.repeat(down, 0).repeat(across, 1)


def centred(cells, width, height):
    """A larger screen with these cells in its middle, as EDK2 draws them."""
    pixels = np.zeros((height, width, 4), np.uint8)
    top, left = (height - cells.shape[0]) // 2, (width - cells.shape[1]) // 2
    pixels[top : top + cells.shape[0], left : left + cells.shape[1]] = cells
    return pixels


def draw(pixels, row, column, character, *, ink=INK, paper=PAPER, width=8, font=(8, 16)):
    height = font[1]
    cell = pixels[row * height :, column * width :][:height, :width]
    cell[...] = paper
    cell[:, : font[0]][glyphs(*font)[character]] = ink
