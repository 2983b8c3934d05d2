"""The fonts in the ROM of SeaBIOS's VGA BIOS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

#: Upper case A of each font, by which its place in the ROM is found.
LETTERS = (
    bytes.fromhex("3078ccccfccccc00"),
    bytes.fromhex("000010386cc6c6fec6c6c6000000"),
    bytes.fromhex("000010386cc6c6fec6c6c6c600000000"),
)
#: Glyphs of code page 437 for the codes of control characters.
GRAPHICS = "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼"


def fonts(path: Path) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Yield each font's height and glyphs, 8 pixels wide.

    Raises:
        SystemExit: The ROM has other fonts than expected.
    """
    rom = path.read_bytes()
    for letter in LETTERS:
        height = len(letter)
        start = rom.find(letter) - ord("A") * height
        if start < 0 or any(rom[start : start + height]):
            raise SystemExit(f"{path} has no font 8x{height} where its letter A is")
        glyphs = [rom[start + code * height :][:height] for code in range(256)]
        yield height, {character(code): glyph for code, glyph in enumerate(glyphs) if code}


def character(code: int) -> str:
    """Return the character of a code in a text mode."""
    if code < len(GRAPHICS):
        return GRAPHICS[code]
    return "⌂" if code == 127 else bytes([code]).decode("cp437")
