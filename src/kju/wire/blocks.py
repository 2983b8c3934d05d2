"""Blocks of pixels, compressed: what stands in a segment's data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ..errors import PeerError
from .messages import MAX_BLOCK, Codec

if TYPE_CHECKING:
    import zstandard

#: Measured on the traces of `python -m benchmarks wire`: on text, windows and a desktop level 3
#: has 6 % more bytes in a third of the time, 9 has 2 % fewer and takes half as long again.
LEVEL = 6
#: For what hardly gets smaller, such as film: level 3 takes four times as long for 3 % more bytes.
QUICK = 1
#: Every frame of zstd begins with it; it is not sent, which saves a letter's update 5 % and more.
MAGIC = b"\x28\xb5\x2f\xfd"


@cache
def known() -> tuple[Codec, ...]:
    """What can be made and read here, the best first."""
    found: list[Codec] = ["zstd", "lz4", "raw"]
    return tuple(each for each in found if each != "lz4" or find_spec("lz4"))


def compress(data: bytes, codec: Codec) -> bytes:
    """Bytes as a codec has them."""
    if codec == "lz4":
        import lz4.block

        out: bytes = lz4.block.compress(data, store_size=False)
        return out
    if codec != "zstd":
        return data
    found = _compressor(QUICK).compress(data)
    if len(found) * 2 < len(data):
        found = _compressor(LEVEL).compress(data)
    return found[len(MAGIC) :]


def least(data: bytes) -> int:
    """Bytes that these become, about, however they are sent."""
    return len(_compressor(QUICK).compress(data)) - len(MAGIC)


def decompress(data: bytes, size: int, codec: Codec) -> bytes:
    """What was compressed; never more than was said, whatever the bytes would become.

    Raises:
        PeerError: They are not of this codec, or not so many as was said.
    """
    if size > MAX_BLOCK:
        raise PeerError(f"a block of {size} bytes is over the limit of {MAX_BLOCK}", size)
    out = _DECOMPRESS[codec](data, size)
    if len(out) != size:
        raise PeerError(f"a block has {len(out)} bytes, its segment says {size}", len(out))
    return out


def _from_zstd(data: bytes, size: int) -> bytes:
    import zstandard

    frame = MAGIC + data
    try:
        said = zstandard.frame_content_size(frame)
        if said != size:
            raise PeerError(f"a block says {said} bytes, its segment {size}", said)
        return _decompressor().decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise PeerError(f"a block of {len(data)} bytes is not zstd: {error}") from error


def _from_lz4(data: bytes, size: int) -> bytes:
    import lz4.block

    try:
        out: bytes = lz4.block.decompress(data, uncompressed_size=size)
        return out
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise PeerError(f"a block of {len(data)} bytes is not lz4: {error}") from error


_DECOMPRESS: dict[Codec, Callable[[bytes, int], bytes]] = {
    "zstd": _from_zstd,
    "lz4": _from_lz4,
    "raw": lambda data, size: data,
}


@cache
def _compressor(level: int) -> zstandard.ZstdCompressor:
    import zstandard

    return zstandard.ZstdCompressor(level=level)


@cache
def _decompressor() -> zstandard.ZstdDecompressor:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 23)
