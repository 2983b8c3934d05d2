"""Text as consoles draw it, from the glyphs that come with kju."""

from importlib import resources

import numpy as np

INK, PAPER = (170, 170, 170, 0), (0, 0, 0, 0)


def glyph(character):
    """A character's rows, from the file that comes with kju."""
    data = resources.files("kju.watch").joinpath("fonts/8x16.txt").read_text()
    for line in data.splitlines():
        if line.startswith(f"{ord(character):04x} "):
            return np.array(list(bytes.fromhex(line.split()[1])), np.uint8)
    raise LookupError(character)


def console(lines, *, columns=80, rows=25, width=8):
    """A text screen, as a VGA or a framebuffer console draws it."""
    pixels = np.zeros((rows * 16, columns * width, 4), np.uint8)
    for row, line in enumerate(lines):
        for column, character in enumerate(line):
            draw(pixels, row, column, character, width=width)
    return pixels


def draw(pixels, row, column, character, *, ink=INK, paper=PAPER, width=8):
    bits = np.unpackbits(glyph(character)).reshape(16, 8).astype(bool)
    cell = pixels[row * 16 : row * 16 + 16, column * width : column * width + width]
    cell[...] = paper
    cell[:, :8][bits] = ink
