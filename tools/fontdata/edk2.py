"""The font of EDK2's graphics console, from a firmware image.

The image has a compressed section (by its GUID, LZMA). It contains the console's driver with its
table of `EFI_NARROW_GLYPH`: a UTF-16 code, a byte of attributes, 19 rows. Latin codes ascend; the
table ends with a code of zero.
"""

from __future__ import annotations

import lzma
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

LZMA = uuid.UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf").bytes_le
#: A section begins with its size and type, before the GUID.
BEFORE = 4
ROWS = 19
GLYPH = struct.Struct(f"<HB{ROWS}s")
#: The letters U and V, by which the table is found.
U = bytes.fromhex("000000c6c6c6c6c6c6c6c6c6c6c67c00000000")
V = bytes.fromhex("000000c6c6c6c6c6c6c6c6c66c381000000000")


def font(path: Path) -> dict[str, bytes]:
    """Return the glyphs, 8 pixels wide and 19 high.

    Raises:
        SystemExit: The image has no such table.
    """
    pair = GLYPH.pack(ord("U"), 0, U) + GLYPH.pack(ord("V"), 0, V)
    for volume in volumes(path.read_bytes()):
        at = volume.find(pair) - (ord("U") - ord(" ")) * GLYPH.size
        if at >= 0:
            return dict(glyphs(volume, at))
    raise SystemExit(f"{path} has no font of EDK2's console")


def volumes(image: bytes) -> Iterator[bytes]:
    """Yield the contents of the compressed sections."""
    at = image.find(LZMA)
    while at >= 0:
        (offset,) = struct.unpack_from("<H", image, at + len(LZMA))
        try:
            section = image[at - BEFORE + offset :]
            yield lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(section)
        except lzma.LZMAError:  # the GUID also stands where no section begins
            pass
        at = image.find(LZMA, at + 1)


def glyphs(volume: bytes, at: int) -> Iterator[tuple[str, bytes]]:
    """Yield the characters and glyphs of the table at a position."""
    while True:
        code, _, rows = GLYPH.unpack_from(volume, at)
        if not code:
            return
        yield chr(code), rows
        at += GLYPH.size
