"""Pixel formats: fourcc codes, and the translation of pixman codes.

A fourcc names a little-endian word: ``XR24`` (XRGB8888) is B, G, R, X in memory. The surface holds
``XR24`` or ``R8  ``; the producer converts all other formats.

Source:
    drm_fourcc.h (libdrm), pixman.h (pixman).
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from ..errors import FormatError
from . import layout


def fourcc(name: str) -> int:
    """Return the code of a four-letter name, such as ``"XR24"``."""
    if len(name) != 4 or not name.isascii():
        raise FormatError(f"a fourcc has four ASCII letters, not {name!r}", name, "four letters")
    return int.from_bytes(name.encode("ascii"), "little")


def fourcc_name(code: int) -> str:
    """Return the four letters of a code, with ``?`` for unprintable ones."""
    text = code.to_bytes(4, "little").decode("latin-1")
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


XR24 = layout.XR24
R8 = layout.R8

BYTES_PER_PIXEL = {XR24: 4, R8: 1}

#: The order of the channels in a copy of pixels.
PixelFormat: TypeAlias = Literal["rgb", "rgba", "bgrx", "grey"]
#: Bytes per pixel of each.
CHANNELS: dict[PixelFormat, int] = {"rgb": 3, "rgba": 4, "bgrx": 4, "grey": 1}


class SourceFormat(NamedTuple):
    """The format of a source's pixels before they are published.

    Attributes:
        name: The C converter that turns them into ``XR24``; ``xrgb8888`` needs none.
        bytes_per_pixel: Bytes of one source pixel.
    """

    name: str
    bytes_per_pixel: int


# pixman codes are (bits per pixel << 24) | (type << 16) | (a << 12) | (r << 8) | (g << 4) | b
PIXMAN_FORMATS: dict[int, SourceFormat] = {
    0x20020888: SourceFormat("xrgb8888", 4),
    0x20028888: SourceFormat("xrgb8888", 4),
    0x20030888: SourceFormat("xbgr8888", 4),
    0x20038888: SourceFormat("xbgr8888", 4),
    0x20080888: SourceFormat("bgrx8888", 4),
    0x20088888: SourceFormat("bgrx8888", 4),
    0x18020888: SourceFormat("rgb888", 3),
    0x18030888: SourceFormat("bgr888", 3),
    0x10020565: SourceFormat("rgb565", 2),
    0x10020555: SourceFormat("xrgb1555", 2),
    0x10021555: SourceFormat("xrgb1555", 2),
}


def from_pixman(code: int) -> SourceFormat:
    """Translate a pixman format code.

    Raises:
        FormatError: kju has no converter for it.
    """
    try:
        return PIXMAN_FORMATS[code]
    except KeyError:
        expected = ", ".join(sorted({f.name for f in PIXMAN_FORMATS.values()}))
        raise FormatError(f"pixman format {code:#010x} has no converter", code, expected) from None
