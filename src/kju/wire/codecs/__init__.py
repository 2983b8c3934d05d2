"""Codecs of pixels: `CODECS` has those that compress a block; `jpeg` compresses photographs.

To add a block codec, add a module with a `BlockCodec` and a line to `CODECS`. The messages, the
sender, the receiver, the command line and the client read that table.
"""

from __future__ import annotations

from ...errors import PeerError
from .block_codec import MAX_BLOCK, BlockCodec
from .lz4 import LZ4
from .raw import RAW
from .zstd import ZSTD

#: Every block codec by its name in the protocol, best first.
CODECS: dict[str, BlockCodec] = {codec.name: codec for codec in (ZSTD, LZ4, RAW)}
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
