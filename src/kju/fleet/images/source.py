"""An image that a program has opened for machines of a fleet. I/O-free."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated

from msgspec import Meta, Struct

from ...store.forks.description import FileIdentity
from ..placement import Part, Room

#: Bytes of one piece of a copy: few calls for a large image, and little memory for several pieces.
PIECE = 4 << 20
_SHA256 = "[0-9a-f]{64}"
_ZEROS = bytes(PIECE)
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,16}")


class FleetImage(Struct, frozen=True):
    """An image that lies on one node of a fleet at least.

    Attributes:
        sha256: The SHA-256 of its contents, as 64 hexadecimal digits.
        file: The file when its contents were read.
        path: Its absolute path on that node, which other nodes may have too.
        node: The node of the program that has opened it.
    """

    sha256: Annotated[str, Meta(pattern=f"^{_SHA256}$")]
    file: FileIdentity
    path: str
    node: str

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.file.size

    @property
    def key(self) -> str:
        """The name of its copy. The suffix decides the kind and the format of an image."""
        suffix = PurePath(self.path).suffix
        return self.sha256 + (suffix if _SUFFIX.fullmatch(suffix) else "")

    @property
    def part(self) -> Part:
        """The room that its copy takes on a node."""
        return Part(self.key, Room(disk=self.size))

    @property
    def pieces(self) -> int:
        """The number of pieces of a copy."""
        return -(-self.size // PIECE)


def is_empty(piece: bytes) -> bool:
    """Return whether all bytes of a piece are zero."""
    return piece == _ZEROS[: len(piece)]


def is_sha256(text: str) -> bool:
    """Return whether a text is 64 hexadecimal digits."""
    return re.fullmatch(_SHA256, text) is not None
