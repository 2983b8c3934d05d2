"""A base that machines of a fleet are forked from, and the files of a copy. I/O-free."""

from __future__ import annotations

import hashlib
from typing import Annotated

from msgspec import Meta, Struct

from ...store.forks.description import Description
from ..images.source import FleetImage, is_empty
from ..placement import Part, Room


class FleetBase(Struct, frozen=True):
    """A machine at one instant, from which machines of a fleet go on: see `Fleet.launch`.

    It is a description: the base itself exists as long as the machine that was frozen, or a fork of
    it on the same node. It may be sent to other programs.

    Attributes:
        id: Its ID, unique among all computers.
        machine: The machine that was frozen.
        tag: The name of the base.
        node: The node on which it lies.
        memory: Bytes of guest memory.
        tmpfs: Bytes that a copy takes in a tmpfs.
        disk: Bytes of the overlays of its disks, which are copied too.
        kvm: Whether it needs KVM.
        images: The files below its disks, and those that its guest reads only.
    """

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    machine: str
    tag: str
    node: str
    memory: int
    tmpfs: int
    disk: int = 0
    kvm: bool = False
    images: Annotated[tuple[FleetImage, ...], Meta(max_length=64)] = ()

    @property
    def key(self) -> str:
        """The key of its part."""
        return f"base-{self.id}"

    @property
    def part(self) -> Part:
        """The room that its copy takes on a node."""
        return Part(self.key, Room(tmpfs=self.tmpfs, disk=self.disk))


class BaseManifest(Struct, frozen=True):
    """The description and the files of a base.

    Attributes:
        description: The base on its node.
        files: The files that kju has made: the state, and the overlays of its disks. Their SHA-256
            is that of `PiecesHash`.
    """

    description: Description
    files: tuple[FleetImage, ...]


class PiecesHash:
    """The SHA-256 of a large file with holes: of its pieces and their numbers, without empty ones.

    The memory of a guest is mostly zero. So neither end has to hash that.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._number = 0

    def add(self, piece: bytes) -> None:
        """Add the next piece."""
        if not is_empty(piece):
            self._hash.update(self._number.to_bytes(8, "big"))
            self._hash.update(piece)
        self._number += 1

    def hexdigest(self) -> str:
        """Return the SHA-256 as 64 hexadecimal digits."""
        return self._hash.hexdigest()
