"""The description of a block codec, and the limit of all blocks."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

#: The most decompressed bytes of one block.
MAX_BLOCK = 4 << 20


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
