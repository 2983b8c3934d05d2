"""JPEG: the pixels of a `Photo`.

Only one kind of JPEG is accepted: baseline, 8 bits, one scan with all components. Other kinds can
take very long to decode, such as a thousand scans. `decompress` therefore checks the markers before
the library sees the data: the size is the rectangle's, there is one scan, and nothing follows it.

Source:
    ITU-T T.81, annex B (markers) and K.3 (the usual Huffman tables).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import PeerError

if TYPE_CHECKING:
    import numpy.typing as npt

#: Measured on photographs: quality 90 costs half as many bytes again for 1.8 dB, quality 60 saves a
#: third for 2 dB less. Chroma at full resolution is between 0.7 dB worse and 0.7 dB better for the
#: same bytes, and takes twice as long.
QUALITY, CHROMA = 80, "420"

_START, _FRAME, _HUFFMAN, _SCAN, _END = 0xD8, 0xC0, 0xC4, 0xDA, 0xD9
_TABLES, _RESTART, _APPLICATION = 0xDB, 0xDD, 0xE0
#: Ends the coded pixels: any marker except stuffing (0) and restarts (D0 to D7).
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
#: Accepted sampling factors of a component: 1 or 2 in each direction.
_SAMPLINGS = (0x11, 0x12, 0x21, 0x22)


class _Part(NamedTuple):
    """A marker segment of a JPEG.

    Attributes:
        marker: Its number.
        start: The offset of its marker.
        end: The offset after its last byte.
    """

    marker: int
    start: int
    end: int


@cache
def is_available() -> bool:
    """Return whether the JPEG library is installed."""
    return find_spec("simplejpeg") is not None


def compress(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Compress pixels as JPEG.

    Args:
        pixels: ``(height, width, 4)``, B G R X, or ``(height, width, 1)``, grey.

    Returns:
        A JPEG without the standard Huffman tables and the JFIF header. Decoders do without both,
        and they are 450 bytes of the 1,000 of a tile.
    """
    import simplejpeg

    pixels = np.ascontiguousarray(pixels)
    grey = pixels.shape[2] == 1
    data: bytes = simplejpeg.encode_jpeg(
        pixels, QUALITY, "GRAY" if grey else "BGRX", "Gray" if grey else CHROMA
    )
    parts = [part for part in _parts(data) if part.marker not in (_HUFFMAN, _APPLICATION)]
    kept = b"".join(data[part.start : part.end] for part in parts)
    return data[:2] + kept + data[parts[-1].end :]


def decompress(data: bytes, width: int, height: int, pixel: int) -> npt.NDArray[np.uint8]:
    """Decompress a photo to ``(height, width, pixel)`` bytes.

    Raises:
        PeerError: The data is not an accepted JPEG, or has another size.
    """
    import simplejpeg

    _check(data, width, height, 1 if pixel == 1 else 3)
    try:
        found = simplejpeg.decode_jpeg_header(data)[:2]
        if found == (height, width):
            out: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(
                data, "GRAY" if pixel == 1 else "BGRX"
            )
            if pixel == 4:
                out[..., 3] = 0
            return out
    except ValueError as error:
        raise PeerError(f"a photo of {len(data)} bytes is not a JPEG: {error}") from error
    raise PeerError(f"a photo of {width}x{height} has a JPEG of {found[1]}x{found[0]}", found)


def _check(data: bytes, width: int, height: int, channels: int) -> None:
    """Check for one baseline scan of this size, with nothing after it."""
    parts = _parts(data)
    markers = [part.marker for part in parts]
    allowed = {_FRAME, _HUFFMAN, _SCAN, _TABLES, _RESTART, _APPLICATION}
    if markers.count(_FRAME) != 1 or not allowed.issuperset(markers):
        raise PeerError("a photo is not a baseline JPEG", markers)
    frame = parts[markers.index(_FRAME)]
    body = data[frame.start + 4 : frame.end]
    if len(body) != 6 + 3 * channels or body[0] != 8 or body[5] != channels:
        raise PeerError(f"a photo's frame does not have {channels} components of 8 bits", body)
    found = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
    if found != (width, height):
        raise PeerError(f"a photo of {width}x{height} has a JPEG of {found[0]}x{found[1]}", found)
    if any(sampling not in _SAMPLINGS for sampling in body[7::3]):
        raise PeerError("a photo's components have unsupported sampling factors", body)
    scan = parts[-1]
    if data[scan.start + 4 : scan.start + 5] != bytes([channels]):
        raise PeerError("a photo has more than one scan", data[scan.start : scan.end])
    end = _MARKER.search(data, scan.end)
    if end is None or end.end() != len(data) or data[-1] != _END:
        raise PeerError("a photo does not end with its scan", len(data))


def _parts(data: bytes) -> list[_Part]:
    """Return the marker segments before the coded pixels, the scan's header last.

    Raises:
        PeerError: The data is not a sequence of marker segments.
    """
    parts: list[_Part] = []
    at = 2
    if data[:2] != bytes([0xFF, _START]):
        raise PeerError("a photo does not begin with the JPEG marker", data[:2])
    while not parts or parts[-1].marker != _SCAN:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + size
        if len(parts) >= 16 or data[at : at + 1] != b"\xff" or size < 2 or end > len(data):
            raise PeerError(f"a photo has no valid marker segment at byte {at}", data[at : at + 4])
        parts.append(_Part(data[at + 1], at, end))
        at = end
    return parts
