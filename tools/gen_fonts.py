#!/usr/bin/env python3
"""Generate the glyphs of text consoles, src/kju/vision/fonts/WIDTHxHEIGHT.txt.

    tools/gen_fonts.py            write the files
    tools/gen_fonts.py --check    fail where one of them is stale
    tools/gen_fonts.py --refresh  fetch the newest packages of the release first

The sources are Debian packages, unpacked into the folder that the test guests use:

- `seabios`: the fonts of the VGA BIOS that QEMU gives its guests, which text modes show (8x8, 8x14,
  8x16; public domain).
- `ovmf`: the font of EDK2's console (8x19). It is `gUsStdNarrowGlyphData` in EDK2's
  `MdeModulePkg/Universal/Console/GraphicsConsoleDxe/LaffStd.c` (BSD-2-Clause-Patent).
- `console-setup-linux`: the fonts that Linux draws on a framebuffer and users load (public domain
  by nature, its copyright file says; Terminus is by Dimitar Zhekov, SIL Open Font License 1.1).

Fonts differ in some letters. A glyph of any font stands for its character.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from fontdata import edk2, psf, vgabios
from keydata import packages

TARGET = Path(__file__).resolve().parent.parent / "src/kju/vision/fonts"
PACKAGES = {
    "seabios": "./usr/share/seabios/vgabios-stdvga.bin",
    "ovmf": "./usr/share/OVMF/OVMF_CODE_4M.fd",
    "console-setup-linux": "./usr/share/consolefonts/*",
}
#: Goha's Latin letters are those of Linux's own font.
GOHA = ("Ethiopian-Goha14", "Ethiopian-Goha16")
#: Latin before Greek, whose capitals look the same.
CHARACTERS = ("Uni2", "Lat15", "FullCyrSlav", "FullGreek")
#: `Fixed16` is the default of Debian's console-setup, Terminus a frequent choice there. Linux
#: itself uses the bold Terminus 16 pixels wide on large displays.
FACES = (
    *("VGA8", "VGA14", "VGA16"),
    *("Fixed13", "Fixed14", "Fixed15", "Fixed16", "Fixed18"),
    *("Terminus14", "TerminusBold14", "TerminusBoldVGA14"),
    *("Terminus16", "TerminusBold16", "TerminusBoldVGA16"),
    *("Terminus32x16", "TerminusBold32x16"),
)

Size = tuple[int, int]
Glyphs = dict[str, bytes]


def main() -> int:
    """Write the files, or compare them."""
    wanted = texts(packages.sources("fonts", PACKAGES, refresh="--refresh" in sys.argv[1:]).root)
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    stale += sorted({*TARGET.glob("*.txt")} - wanted.keys())
    names = ", ".join(path.name for path in stale)
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {names}; run tools/gen_fonts.py", file=sys.stderr)
        return bool(stale)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path], encoding="ascii")
        else:
            path.unlink()
    print(f"written: {names}" if stale else "nothing has changed")
    return 0


def texts(root: Path) -> dict[Path, str]:
    """Return the content of every file."""
    sizes: dict[Size, list[tuple[str, Glyphs]]] = {}
    for size, source, glyphs in fonts(root):
        sizes.setdefault(size, []).append((source, glyphs))
    return {
        TARGET / f"{width}x{height}.txt": text(width, height, found)
        for (width, height), found in sizes.items()
    }


def fonts(root: Path) -> Iterator[tuple[Size, str, Glyphs]]:
    """Yield every font: the size of its cell, its source and its glyphs."""
    for height, glyphs in vgabios.fonts(root / PACKAGES["seabios"]):
        yield (8, height), "seabios, vgabios-stdvga.bin", glyphs
    yield (
        (8, 19),
        "ovmf, EDK2's LaffStd.c (BSD-2-Clause-Patent, Intel Corporation)",
        edk2.font(root / PACKAGES["ovmf"]),
    )
    folder = root / "usr/share/consolefonts"
    names = [*GOHA, *(f"{group}-{face}" for face in FACES for group in CHARACTERS)]
    for name in names:
        path = folder / f"{name}.psf.gz"
        if path.exists():
            size, glyphs = psf.font(path)
            owner = " (SIL Open Font License 1.1, Dimitar Zhekov)" if "Terminus" in name else ""
            yield size, f"console-setup-linux, {name.partition('-')[2]}{owner}", glyphs


def text(width: int, height: int, found: list[tuple[str, Glyphs]]) -> str:
    """Return a file: for each glyph its first character, ASCII before others."""
    ascii_first = sorted(
        (not character.isascii(), number, character, glyph)
        for number, (_, glyphs) in enumerate(found)
        for character, glyph in glyphs.items()
        if wanted(character) and (character.isascii() or not underline(glyph, width, height))
    )
    named: dict[bytes, str] = {}
    for other, _, character, glyph in ascii_first:
        if not other and named.get(glyph, character) != character:
            raise SystemExit(f"{width}x{height}: {character!r} is drawn as {named[glyph]!r} is")
        named.setdefault(glyph, character)
    sources = "".join(f"#   {source}\n" for source in dict.fromkeys(source for source, _ in found))
    rows = sorted((ord(character), glyph) for glyph, character in named.items())
    lines = (f"{code:04x} {glyph.hex()}\n" for code, glyph in rows)
    return (
        "# Made by tools/gen_fonts.py: a character's code point, and its rows from the top,\n"
        f"# {width} pixels each, the leftmost the highest bit. From the Debian packages\n"
        f"{sources}{''.join(lines)}"
    )


def wanted(character: str) -> bool:
    """Return True for a character that consoles write: it is printable, not of private use."""
    return character.isprintable() and character not in "\xa0\xad" and ord(character) < 0xE000


def underline(glyph: bytes, width: int, height: int) -> bool:
    """Return True for a glyph that looks like a blank cell with a cursor, a more frequent one."""
    step = (width + 7) // 8
    rows = [glyph[at : at + step] for at in range(0, height * step, step)]
    full = (((1 << width) - 1) << (step * 8 - width)).to_bytes(step, "big")
    drawn = [number for number, row in enumerate(rows) if any(row)]
    return bool(drawn) and drawn[0] >= height - 5 and all(rows[number] == full for number in drawn)


if __name__ == "__main__":
    sys.exit(main())
