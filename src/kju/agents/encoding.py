"""Encode pictures as PNG and JPEG, fast. I/O-free.

Compression takes most of the time of a screenshot. `isal` needs a tenth of the time of Pillow's
zlib for the same bytes, and this module writes the PNG around them: the signature and three chunks.
Without `isal` it uses zlib with one filter: Pillow tries five for each row, and a screen needs one.

Source:
    Portable Network Graphics (Second Edition), W3C: chunks 5.3, IHDR 11.2.2, filters 9.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: zlib's level; isal's levels are other trade-offs, and 1 is the one for screens.
_ZLIB_LEVEL, _ISAL_LEVEL = 2, 1
#: The filters None and Up: a byte is itself, or its difference from the one above.
_NONE, _UP = 0, 2
#: The filter is chosen by the compressed size of this many parts of this many rows.
_SAMPLES, _SAMPLE_ROWS = 4, 8
#: Quality of a JPEG: letters stay readable.
_QUALITY = 85
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _compressor() -> tuple[Any, int]:
    """Return the fastest module with zlib's interface, and its level."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib, _ZLIB_LEVEL
    return isal_zlib, _ISAL_LEVEL


def png(pixels: Pixels) -> bytes:
    """Return a PNG.

    Args:
        pixels: ``(height, width, 3)``, R G B.
    """
    height, width, _ = pixels.shape
    rows = np.ascontiguousarray(pixels).reshape(height, width * 3)
    data = _compressed(_filtered(rows, _best_filter(rows)))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    return b"".join([_SIGNATURE, *(_chunk(kind, body) for kind, body in chunks)])


def _best_filter(rows: Pixels) -> int:
    """Return the filter that compresses some parts of a picture best.

    Text and windows repeat to the byte: they are smallest without a filter. Photographs and
    gradients are a third smaller with one.
    """
    step = max(len(rows) // _SAMPLES, 1)
    parts = [rows[at : at + _SAMPLE_ROWS] for at in range(0, len(rows), step)]
    sizes = [sum(len(_compressed(_filtered(p, kind))) for p in parts) for kind in (_NONE, _UP)]
    return _UP if sizes[1] < sizes[0] else _NONE


def _filtered(rows: Pixels, kind: int) -> Pixels:
    """Return rows with a filter; each begins with its number."""
    height, length = rows.shape
    filtered = np.empty((height, length + 1), np.uint8)
    filtered[:, 0] = kind
    if kind == _UP:
        filtered[0, 1:] = rows[0]
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    else:
        filtered[:, 1:] = rows
    return filtered


def _compressed(data: Pixels) -> bytes:
    module, level = _compressor()
    compressed: bytes = module.compress(data, level)
    return compressed


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)


def jpeg(pixels: Pixels) -> bytes:
    """Return a JPEG.

    Args:
        pixels: ``(height, width, 3)``, R G B.
    """
    plain = np.ascontiguousarray(pixels)
    try:
        import simplejpeg
    except ImportError:
        from PIL import Image

        file = io.BytesIO()
        Image.fromarray(plain).save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()
    data: bytes = simplejpeg.encode_jpeg(plain, quality=_QUALITY, colorspace="RGB")
    return data
