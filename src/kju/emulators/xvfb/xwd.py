"""X window dumps: the place of the picture in memory that an X server shares. I/O-free.

Xvfb keeps each screen as one dump: a header of big-endian words, the colours of a palette, the
pixels. The header is written by another process, so each value is checked: `parse` takes a copy
of it and the memory's size, and returns a picture inside that memory, or raises an error.

Source:
    X11/XWDFile.h (version 7 of the format); Xvfb's ``-fbdir`` and ``-shmem``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ...errors import FormatError
from ...surface.geometry import Place

_HEADER = struct.Struct(">25I")
#: Bytes that `parse` needs: the header's words. The window's name, which follows, is not read.
HEADER = _HEADER.size
_COLOUR = 12

_VERSION = 7
_Z_PIXMAP = 2
_LEAST_SIGNIFICANT_FIRST = 0
_TRUE_COLOUR = 4
_BITS = 32
_MASKS = (0xFF0000, 0xFF00, 0xFF)
#: The protocol's coordinates are signed 16-bit numbers.
_LONGEST = 0x7FFF
_HINT = "start the server with: -screen 0 1280x800x24"


class Header(NamedTuple):
    """The header's words, as XWDFile.h names them."""

    header_size: int
    file_version: int
    pixmap_format: int
    pixmap_depth: int
    pixmap_width: int
    pixmap_height: int
    xoffset: int
    byte_order: int
    bitmap_unit: int
    bitmap_bit_order: int
    bitmap_pad: int
    bits_per_pixel: int
    bytes_per_line: int
    visual_class: int
    red_mask: int
    green_mask: int
    blue_mask: int
    bits_per_rgb: int
    colormap_entries: int
    ncolors: int
    window_width: int
    window_height: int
    window_x: int
    window_y: int
    window_bdrwidth: int


def parse(header: bytes, size: int) -> Place:
    """Return the place of the picture.

    Args:
        header: A copy of the memory's first `HEADER` bytes, or more of them.
        size: Bytes of the memory.

    Returns:
        A picture all of whose rows lie behind the header and inside *size*.

    Raises:
        FormatError: Not a dump, not one of 24-bit colour, or not inside the memory.
    """
    if len(header) < HEADER or size < HEADER:
        raise FormatError(f"{size} bytes are too few for a screen of Xvfb", size, HEADER)
    found = Header._make(_HEADER.unpack_from(header))
    if found.file_version != _VERSION or found.header_size < HEADER:
        version, expected = (found.file_version, found.header_size), (_VERSION, HEADER)
        raise FormatError("not a screen of Xvfb (XWD version 7)", version, expected)
    _check_colours(found)
    return _check_place(found, size)


def _check_colours(found: Header) -> None:
    kind = (found.pixmap_format, found.visual_class, found.byte_order, found.bits_per_pixel)
    expected = (_Z_PIXMAP, _TRUE_COLOUR, _LEAST_SIGNIFICANT_FIRST, _BITS)
    masks = (found.red_mask, found.green_mask, found.blue_mask)
    if kind == expected and masks == _MASKS:
        return
    raise FormatError(
        f"this X screen has a depth of {found.pixmap_depth} and {found.bits_per_pixel} bits per"
        f" pixel, visual class {found.visual_class}, and kju shows 24-bit TrueColor ones: {_HINT}",
        (*kind, *masks),
        (*expected, *_MASKS),
    )


def _check_place(found: Header, size: int) -> Place:
    width, height, stride = found.pixmap_width, found.pixmap_height, found.bytes_per_line
    offset = found.header_size + found.ncolors * _COLOUR
    if not (0 < width <= _LONGEST and 0 < height <= _LONGEST):
        raise FormatError(f"an X screen cannot be {width}x{height}", (width, height), _LONGEST)
    if stride < width * 4 or stride % 4 or offset % 4 or found.xoffset:
        raise FormatError(
            f"rows of {stride} bytes at {offset} do not hold {width} pixels of 4 bytes each",
            (stride, offset, found.xoffset),
            width * 4,
        )
    place = Place(width, height, stride, offset)
    if place.end > size:
        found_end = f"the picture ends at {place.end}, outside its {size} bytes"
        raise FormatError(found_end, place.end, size)
    return place
