"""Encode pixels as PNG and JPEG files, fast. I/O-free.

Compression takes most of the time of a screenshot. `isal` needs a tenth of the time of Pillow's
zlib for the same bytes, and this module writes the PNG around them: the signature and the chunks.
Without `isal` it uses zlib with one filter: Pillow tries five for each row, and a screen needs one.

Pixels are ``(height, width)``, grey; ``(height, width, 3)``, R G B; or ``(height, width, 4)``,
B G R X, as a surface has them. Rows may be padded.

Source:
    Portable Network Graphics (Second Edition), W3C: chunks 5.3, IHDR 11.2.2, iTXt 11.3.4.5,
    filters 9.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from functools import cache
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
#: PNG's colour types: grey, and R G B.
_GREY, _RGB = 0, 2
#: Quality of a JPEG: letters stay readable.
_QUALITY = 85
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@cache
def _compressor() -> tuple[Any, int]:
    """Return the fastest module with zlib's interface, and its level."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib, _ZLIB_LEVEL
    return isal_zlib, _ISAL_LEVEL


# ---- PNG


def png(pixels: Pixels, texts: Mapping[str, str] | None = None) -> bytes:
    """Return a PNG.

    Args:
        pixels: See the module.
        texts: Texts that the file holds, by their keywords of 1 to 79 ASCII letters.
    """
    height, width = pixels.shape[:2]
    rows = _with_filter_bytes(pixels)
    data = _compressed(_filtered(rows, _best_filter(rows)))
    colours = _GREY if pixels.ndim == 2 else _RGB
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    notes = [(b"iTXt", _text(*note)) for note in (texts or {}).items()]
    chunks = [(b"IHDR", header), *notes, (b"IDAT", data), (b"IEND", b"")]
    return b"".join([_SIGNATURE, *(part for chunk in chunks for part in _chunk(*chunk))])


def _with_filter_bytes(pixels: Pixels) -> Pixels:
    """Return the rows of a PNG, in R G B or grey, each behind a byte for its filter: None."""
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    rows = np.empty((height, 1 + width * channels), np.uint8)
    rows[:, 0] = _NONE
    # The same memory, by pixels: a copy of the rows is saved.
    shape, strides = (height, width, channels), (rows.strides[0], channels, 1)
    inside: Pixels = np.ndarray(shape, np.uint8, rows, offset=1, strides=strides)
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        # Channel by channel: a copy with a negative step takes more than three times as long.
        for channel in range(3):
            inside[..., channel] = pixels[..., 2 - channel]
    else:
        inside[...] = pixels.reshape(shape)
    return rows


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
    """Return rows with a filter."""
    if kind == _NONE:
        return rows
    filtered = np.empty_like(rows)
    filtered[0] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:])
    filtered[:, 0] = kind
    return filtered


def _compressed(data: Pixels) -> bytes:
    module, level = _compressor()
    compressed: bytes = module.compress(data, level)
    return compressed


def _text(keyword: str, text: str) -> bytes:
    """Return the body of an iTXt chunk: not compressed, of no language."""
    return keyword.encode("ascii") + b"\0\0\0\0\0" + text.encode()


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    check = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)), kind, body, struct.pack(">I", check)


# ---- JPEG


def jpeg(pixels: Pixels, quality: int = _QUALITY) -> bytes:
    """Return a JPEG.

    Args:
        pixels: See the module.
        quality: 1 to 100.
    """
    plain = np.ascontiguousarray(pixels)
    channels = plain.shape[2] if plain.ndim == 3 else 1
    try:
        import simplejpeg
    except ImportError:
        return _jpeg_by_pillow(plain, channels, quality)
    names = {1: "GRAY", 3: "RGB", 4: "BGRX"}
    shaped = plain.reshape(*plain.shape[:2], channels)
    data: bytes = simplejpeg.encode_jpeg(shaped, quality=quality, colorspace=names[channels])
    return data


def _jpeg_by_pillow(pixels: Pixels, channels: int, quality: int) -> bytes:
    from PIL import Image

    mode, raw = {1: ("L", "L"), 3: ("RGB", "RGB"), 4: ("RGB", "BGRX")}[channels]
    height, width = pixels.shape[:2]
    image = Image.frombuffer(mode, (width, height), pixels.tobytes(), "raw", raw, 0, 1)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()
