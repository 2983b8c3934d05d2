"""Zstandard: the fewest bytes.

Source:
    RFC 8878, 3.1.1 (the frame; its magic number is left out on the wire).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

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

T = TypeVar("T")


class _Idle(Generic[T]):
    """The (de)compressors that no thread uses at this moment.

    Two threads must not use one at a time: each mirror draws in a thread of its own, and each
    server of a process sends in one. Popping and appending are atomic, so no lock is needed. One
    whose call fails is not put back.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._idle: list[T] = []

    def take(self) -> T:
        """Return one that no other thread uses."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._make()

    def put_back(self, used: T) -> None:
        """Let other threads use it."""
        self._idle.append(used)


def estimate(data: bytes) -> int:
    """Return about how many bytes a block has when it is compressed by any codec."""
    return len(_compress_at(QUICK_LEVEL, data)) - len(MAGIC)


def _compress(data: bytes) -> bytes:
    found = _compress_at(QUICK_LEVEL, data)
    if len(found) * 2 < len(data):
        found = _compress_at(LEVEL, data)
    return found[len(MAGIC) :]


def _compress_at(level: int, data: bytes) -> bytes:
    compressor = _compressors[level].take()
    found = compressor.compress(data)
    _compressors[level].put_back(compressor)
    return found


def _decompress(data: bytes, size: int) -> bytes:
    import zstandard

    frame = MAGIC + data
    try:
        # The frame's own size is checked first: the library would allocate that much.
        content_size = zstandard.frame_content_size(frame)
        if content_size != size:
            raise PeerError(f"a block's frame has size {content_size}, its segment {size}")
        decompressor = _decompressors.take()
        block = decompressor.decompress(frame, max_output_size=size)
        _decompressors.put_back(decompressor)
        return block
    except zstandard.ZstdError as error:
        raise PeerError(f"a block of {len(data)} bytes is not zstd: {error}") from error


def _make_compressor(level: int) -> zstandard.ZstdCompressor:
    import zstandard

    return zstandard.ZstdCompressor(level=level)


def _make_decompressor() -> zstandard.ZstdDecompressor:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 23)


_compressors = {level: _Idle(partial(_make_compressor, level)) for level in (QUICK_LEVEL, LEVEL)}
_decompressors = _Idle(_make_decompressor)

ZSTD = BlockCodec("zstd", _compress, _decompress, library="zstandard", is_offered=True)
