"""Glyphs of text consoles, prepared for a search.

A glyph has two colours, and either may be the ink (a selected line is inverted). So glyphs are
compared in a normal form: the bits that differ from the first pixel.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bits = npt.NDArray[np.uint64]

_MIX = np.uint64(0x9E3779B97F4A7C15)


class Font(NamedTuple):
    """Glyphs in their normal form, sorted by `mixed`.

    Attributes:
        mixed: One number per glyph, for the search.
        words: ``(count, n)``: the glyph itself, as `pack` makes it.
        codes: Its character's code point.
    """

    mixed: Bits
    words: Bits
    codes: npt.NDArray[np.uint32]

    def find(self, words: Bits) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
        """Look glyphs up.

        Args:
            words: ``(..., n)``: glyphs in their normal form.

        Returns:
            The code points, and True for each known glyph; both ``(...)``. The code point of an
            unknown glyph is undefined.
        """
        at = np.minimum(np.searchsorted(self.mixed, mix(words)), len(self.mixed) - 1)
        return self.codes[at], (self.words[at] == words).all(-1)


@cache
def console_font(width: int, height: int) -> Font:
    """Load the glyphs of one size from kju's own files."""
    path = resources.files(__package__).joinpath(f"fonts/{width}x{height}.txt")
    rows = [line.split() for line in path.read_text("ascii").splitlines() if line[0] != "#"]
    codes = np.array([int(code, 16) for code, _ in rows], np.uint32)
    data = np.frombuffer(bytes.fromhex("".join(glyph for _, glyph in rows)), np.uint8)
    bits = np.unpackbits(data.reshape(len(rows), height, -1), axis=-1)[..., :width]
    return make_font(codes, bits)


def make_font(codes: npt.NDArray[np.uint32], bits: npt.NDArray[Any]) -> Font:
    """Prepare glyphs for the search.

    Args:
        codes: Code points; of characters with the same glyph the first is used.
        bits: ``(count, height, width)``: 1 is ink.
    """
    words = pack(bits != bits[:, :1, :1])
    mixed, first_of = np.unique(mix(words), return_index=True)
    return Font(mixed, words[first_of], codes[first_of])


def pack(bits: npt.NDArray[np.bool_]) -> Bits:
    """Pack glyphs into words: ``(..., height, width)`` becomes ``(..., n)``."""
    return as_words(pack_rows(bits))


def pack_rows(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Pack rows of pixels into bytes: ``(..., width)`` becomes ``(..., bytes)``."""
    if bits.shape[-1] % 8:
        return np.packbits(bits, axis=-1)
    # Along an axis this takes eight times as long.
    return np.packbits(bits.ravel()).reshape(*bits.shape[:-1], bits.shape[-1] // 8)


def as_words(packed: npt.NDArray[np.uint8]) -> Bits:
    """Join the bytes of glyphs: ``(..., height, bytes)`` becomes ``(..., n)``."""
    flat = packed.reshape(*packed.shape[:-2], -1)
    missing = -flat.shape[-1] % 8
    if missing:
        flat = np.concatenate((flat, np.zeros((*flat.shape[:-1], missing), np.uint8)), axis=-1)
    return np.ascontiguousarray(flat).view(np.uint64)


def mix(words: Bits) -> Bits:
    """Return one number per glyph, ``(..., n)`` to ``(...)``."""
    mixed = words[..., 0] * _MIX
    for number in range(1, words.shape[-1]):
        mixed = (mixed ^ (mixed >> np.uint64(29)) ^ words[..., number]) * _MIX
    return mixed
