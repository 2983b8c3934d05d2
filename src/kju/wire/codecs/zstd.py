"""Zstandard: the fewest bytes.

Source:
    RFC 8878, 3.1.1 (the frame; its magic number is left out on the wire).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ...errors import PeerError
from .block_codec import BlockCodec

if TYPE_CHECKING:
    import zstandard

#: The level for most blocks. Measured on the traces of `python -m benchmarks wire`: on text, on
#: windows and on a desktop, level 3 makes 6 % more bytes in a third of the time, and level 9 makes
#: 2 % fewer in half as long again.
LEVEL = 6
#: The level for blocks that hardly shrink, such as film: level 3 takes four times as long there and
#: saves 3 % of the bytes.
QUICK_LEVEL = 1
#: Every zstd frame begins with it, so it is not sent. That saves 5 % and more of a typed letter.
MAGIC = b"\x28\xb5\x2f\xfd"
#: Decompressors that no thread uses at this moment.
_idle_decompressors: list[zstandard.ZstdDecompressor] = []


def estimate(data: bytes) -> int:
    """Return about how many bytes a block has when it is compressed by any codec."""
    return len(_compressor(QUICK_LEVEL).compress(data)) - len(MAGIC)


def _compress(data: bytes) -> bytes:
    found = _compressor(QUICK_LEVEL).compress(data)
    if len(found) * 2 < len(data):
        found = _compressor(LEVEL).compress(data)
    return found[len(MAGIC) :]


def _decompress(data: bytes, size: int) -> bytes:
    import zstandard

    frame = MAGIC + data
    try:
        # The frame's own size is checked first: the library would allocate that much.
        content_size = zstandard.frame_content_size(frame)
        if content_size != size:
            raise PeerError(f"a block's frame has size {content_size}, its segment {size}")
        # One decompressor must not be used by two threads at a time, and each mirror draws in a
        # thread of its own. Popping and appending are atomic, so no lock is needed.
        try:
            decompressor = _idle_decompressors.pop()
        except IndexError:
            decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 23)
        block = decompressor.decompress(frame, max_output_size=size)
        _idle_decompressors.append(decompressor)
        return block
    except zstandard.ZstdError as error:
        raise PeerError(f"a block of {len(data)} bytes is not zstd: {error}") from error


@cache
def _compressor(level: int) -> zstandard.ZstdCompressor:
    import zstandard

    return zstandard.ZstdCompressor(level=level)


ZSTD = BlockCodec("zstd", _compress, _decompress, library="zstandard", is_offered=True)
