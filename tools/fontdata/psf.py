"""Console fonts in the format PSF, versions 1 and 2, as `kbd` defines them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path


def font(path: Path) -> tuple[tuple[int, int], dict[str, bytes]]:
    """Return a font's cell size, and the glyphs of the characters in its own table.

    Raises:
        SystemExit: It is no such font, or has no table of characters.
    """
    data = gzip.decompress(path.read_bytes())
    if data.startswith(b"\x36\x04") and data[2] & 2:
        count, size = 512 if data[2] & 1 else 256, data[3]
        start, cell = 4, (8, data[3])
        table = data[start + count * size :].decode("utf-16-le", "surrogatepass")
        entries, separator = table.split("\uffff"), "\ufffe"
    elif data.startswith(b"\x72\xb5\x4a\x86") and data[12] & 1:
        start, _, count, size, height, width = struct.unpack_from("<6I", data, 8)
        cell = width, height
        table = data[start + count * size :].decode("utf-8", "surrogateescape")
        entries, separator = table.split("\udcff"), "\udcfe"
    else:
        raise SystemExit(f"{path} is no console font with a table of characters")
    found: dict[str, bytes] = {}
    for number, entry in enumerate(entries[:count]):
        # Sequences of several characters follow the separator.
        for character in entry.split(separator)[0]:
            at = start + number * size
            found.setdefault(character, data[at : at + size])
    return cell, found
