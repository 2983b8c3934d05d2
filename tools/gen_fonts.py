#!/usr/bin/env python3
"""Collects the glyphs that text consoles draw into src/kju/watch/fonts/8x16.txt.

    tools/gen_fonts.py           writes it

Two sources, both Debian packages: the font of the VGA BIOS that QEMU gives its guests (`seabios`;
public domain), which text modes show, and the console fonts of `console-setup-linux` (public domain
by nature, its copyright file says), which Linux draws on a framebuffer and users load. The fonts
differ in some letters; a glyph of any of them is a character, whichever font it came with.
"""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

ROM = Path("/usr/share/seabios/vgabios-stdvga.bin")
FONTS = Path("/usr/share/consolefonts")
TARGET = Path(__file__).resolve().parent.parent / "src/kju/watch/fonts/8x16.txt"
#: The first that draws a glyph names it: Latin before Greek, whose capitals look the same.
#: Goha's Latin letters are those of Linux's own font.
NAMES = ("Ethiopian-Goha16", "Uni2-VGA16", "Lat15-VGA16", "FullCyrSlav-VGA16", "FullGreek-VGA16")
#: Upper case A in the BIOS's font, by which its place in the ROM is found.
A = bytes.fromhex("000010386cc6c6fec6c6c6c600000000")
HEAD = "# Made by tools/gen_fonts.py: a character's code point and its 16 rows of 8 pixels.\n"


def of_rom(path: Path) -> dict[str, bytes]:
    """The BIOS's glyphs, in the order of code page 437."""
    rom = path.read_bytes()
    start = rom.index(A) - ord("A") * 16
    codes = [code for code in range(256) if code not in (*range(32), 127)]
    return {bytes([c]).decode("cp437"): rom[start + c * 16 : start + c * 16 + 16] for c in codes}


def of_psf(path: Path) -> dict[str, bytes]:
    """A console font's glyphs and the characters its own table names (PSF, version 1)."""
    data = gzip.decompress(path.read_bytes())
    magic, mode, size = struct.unpack_from("<HBB", data)
    if magic != 0x0436 or size != 16 or not mode & 2:
        raise SystemExit(f"{path} is no 8x16 console font with a table of characters")
    count = 512 if mode & 1 else 256
    table = data[4 + count * size :]
    found: dict[str, bytes] = {}
    glyph, sequence = 0, False
    for (word,) in struct.iter_unpack("<H", table):
        if word == 0xFFFF:
            glyph, sequence = glyph + 1, False
        elif word == 0xFFFE:
            sequence = True
        elif not sequence:
            found.setdefault(chr(word), data[4 + glyph * size : 4 + (glyph + 1) * size])
    return found


def wanted(character: str) -> bool:
    """What a console writes: printing characters, and no private use."""
    return character.isprintable() and character not in "\xa0\xad" and ord(character) < 0xE000


def main() -> None:
    """The command line."""
    if len(sys.argv) > 1:
        raise SystemExit(__doc__)
    named: dict[bytes, str] = {}
    tables = [of_rom(ROM), *(of_psf(FONTS / f"{name}.psf.gz") for name in NAMES)]
    for table in tables:
        for character, glyph in sorted(table.items()):
            if wanted(character):
                named.setdefault(glyph, character)
    rows = sorted((ord(character), glyph) for glyph, character in named.items())
    lines = (f"{code:04x} {glyph.hex()}\n" for code, glyph in rows)
    TARGET.write_text(HEAD + "".join(lines), encoding="ascii")


if __name__ == "__main__":
    main()
