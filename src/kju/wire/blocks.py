"""Blocks of pixels, compressed: what stands in a segment's data."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ..errors import PeerError
from .messages import MAX_BLOCK, Codec

if TYPE_CHECKING:
    import zstandard

#: Measured on recorded guests (docs, Benchmarks): level 1 costs 5 to 15 % more bytes, 9 takes
#: four times as long for 2 % less.
LEVEL = 3


def compress(data: bytes, codec: Codec) -> bytes:
    """Bytes as a codec has them."""
    return _compressor().compress(data) if codec == "zstd" else data


def decompress(data: bytes, size: int, codec: Codec) -> bytes:
    """What was compressed; never more than was said, whatever the bytes would become.

    Raises:
        PeerError: They are not of this codec, or not so many as was said.
    """
    if codec != "zstd":
        out = data
    else:
        import zstandard

        try:
            said = zstandard.frame_content_size(data)
            if said != size or size > MAX_BLOCK:
                raise PeerError(f"a block says {said} bytes, its segment {size}", said)
            out = _decompressor().decompress(data, max_output_size=size)
        except zstandard.ZstdError as error:
            raise PeerError(f"a block of {len(data)} bytes is not zstd: {error}") from error
    if len(out) != size:
        raise PeerError(f"a block has {len(out)} bytes, its segment says {size}", len(out))
    return out


@cache
def _compressor() -> zstandard.ZstdCompressor:
    import zstandard

    return zstandard.ZstdCompressor(level=LEVEL)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 23)
