"""Codecs of a block of pixels: `CODECS`. Photographs have their own, in `jpeg`.

To add one, add a `BlockCodec` and name it in `CODECS`. The messages, the sender, the receiver, the
command line and the client read that table.

Source:
    RFC 8878, 3.1.1 (zstd's frame; its magic number is left out on the wire).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from ..errors import PeerError

if TYPE_CHECKING:
    import zstandard

#: The most decompressed bytes of one block.
MAX_BLOCK = 4 << 20
#: The level of zstd for most blocks. Measured on the traces of `python -m benchmarks wire`: on
#: text, on windows and on a desktop, level 3 makes 6 % more bytes in a third of the time, and level
#: 9 makes 2 % fewer in half as long again.
LEVEL = 6
#: The level for blocks that hardly shrink, such as film: level 3 takes four times as long there and
#: saves 3 % of the bytes.
_QUICK_LEVEL = 1
#: Every zstd frame begins with it, so it is not sent. That saves 5 % and more of a typed letter.
MAGIC = b"\x28\xb5\x2f\xfd"

T = TypeVar("T")


class BlockCodec(NamedTuple):
    """A codec of blocks. It imports its library when it is first used.

    Attributes:
        name: Its name in the protocol.
        compress: Compresses a block.
        decompress: Decompresses a block. Takes the data and the size that the segment claims, must
            not allocate more than that, and raises `PeerError` for data of another format.
        library: The module that it needs; empty for none.
        is_offered: A viewer offers it unless the user names a codec.
    """

    name: str
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes, int], bytes]
    library: str = ""
    is_offered: bool = False

    def is_available(self) -> bool:
        """Return whether the library is installed."""
        return not self.library or find_spec(self.library) is not None


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
    return len(_compress_at(_QUICK_LEVEL, data)) - len(MAGIC)


def _compress_zstd(data: bytes) -> bytes:
    found = _compress_at(_QUICK_LEVEL, data)
    if len(found) * 2 < len(data):
        found = _compress_at(LEVEL, data)
    return found[len(MAGIC) :]


def _compress_at(level: int, data: bytes) -> bytes:
    compressor = _compressors[level].take()
    found = compressor.compress(data)
    _compressors[level].put_back(compressor)
    return found


def _decompress_zstd(data: bytes, size: int) -> bytes:
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


_compressors = {level: _Idle(partial(_make_compressor, level)) for level in (_QUICK_LEVEL, LEVEL)}
_decompressors = _Idle(_make_decompressor)


def _compress_lz4(data: bytes) -> bytes:
    import lz4.block

    found: bytes = lz4.block.compress(data, store_size=False)
    return found


def _decompress_lz4(data: bytes, size: int) -> bytes:
    import lz4.block

    try:
        found: bytes = lz4.block.decompress(data, uncompressed_size=size)
        return found
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise PeerError(f"a block of {len(data)} bytes is not lz4: {error}") from error


def _keep(data: bytes, size: int = 0) -> bytes:
    """Compress or decompress nothing."""
    return data


#: The fewest bytes.
_ZSTD = BlockCodec("zstd", _compress_zstd, _decompress_zstd, library="zstandard", is_offered=True)
#: More bytes than zstd in less CPU time.
_LZ4 = BlockCodec("lz4", _compress_lz4, _decompress_lz4, library="lz4")
#: Blocks as they are, for a link that is faster than any compression.
RAW = BlockCodec("raw", _keep, _keep, is_offered=True)
#: Every block codec by its name in the protocol, best first.
CODECS: dict[str, BlockCodec] = {codec.name: codec for codec in (_ZSTD, _LZ4, RAW)}
#: The name of the photo codec in a viewer's list.
JPEG = "jpeg"


def available() -> tuple[str, ...]:
    """Return the names of the codecs whose libraries are installed, best first."""
    return tuple(name for name, codec in CODECS.items() if codec.is_available())


def offered(preferred: str = "", *, photos: bool = False) -> list[str]:
    """Return the names of the codecs that a viewer offers, best first.

    Args:
        preferred: The first one; empty for the best one.
        photos: The viewer accepts photos.
    """
    others = [name for name, codec in CODECS.items() if codec.is_offered and name != preferred]
    return [*([preferred] if preferred else []), *others, *([JPEG] if photos else [])]


def compress(data: bytes, codec: str) -> bytes:
    """Compress a block."""
    return CODECS[codec].compress(data)


def decompress(data: bytes, size: int, codec: str) -> bytes:
    """Decompress a block, and never produce more than *size* bytes.

    Raises:
        PeerError: The data is not of this codec, or is not *size* bytes when decompressed.
    """
    if size > MAX_BLOCK:
        raise PeerError(f"a block of {size} bytes is over the limit of {MAX_BLOCK}", size)
    found = CODECS[codec].decompress(data, size)
    if len(found) != size:
        raise PeerError(f"a block has {len(found)} bytes, not {size} as in its segment", len(found))
    return found
