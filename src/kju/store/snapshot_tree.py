"""The tree of a machine's snapshots: each one's parent, and the machine's own place. I/O-free.

- The parent of a snapshot is the one that was saved or loaded last before it was saved, on these
  disks: a machine that ended and was started again continues from the same place.
- A snapshot of unknown origin has no parent: it was saved before parents were recorded, or by
  another program. It can be the parent of others.
- If a snapshot is removed, its children get its parent; so does the machine, if it was there.
- A snapshot is known by its tag and its time: a removed one's tag can be used again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from ..errors import FileError, UsageError
from ..protocol.snapshots import SavedSnapshot
from ..protocol.values import TAG

#: Bytes of a tree's file. A qcow2 disk holds at most 65,536 snapshots.
MAX_BYTES = 16 << 20


class SnapshotId(NamedTuple):
    """The identity of a snapshot: its tag, and the time of its saving in seconds."""

    tag: str
    time: float


#: A size comes from the disk, where a guest can write it: it may be negative, and then counts as 0.
_Size = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class DiskSnapshot(Struct, rename="kebab"):
    """One snapshot in a qcow2 disk, as QEMU and qemu-img describe it.

    Source:
        SnapshotInfo in qapi/block-core.json of QEMU.
    """

    name: str
    vm_state_size: _Size = 0
    date_sec: _Count = 0
    date_nsec: _Count = 0

    def saved(self) -> SavedSnapshot:
        """Return it in the form of the control protocol."""
        when = self.date_sec + self.date_nsec / 1e9
        return SavedSnapshot(tag=self.name, time=when, size=max(0, self.vm_state_size))


def no_snapshot(tag: str, tags: Iterable[str]) -> UsageError:
    """Return the error for a snapshot that does not exist.

    Args:
        tag: Its name.
        tags: The existing names; those of a disk may have any characters.
    """
    have = ", ".join(each if re.search(TAG, each) else ascii(each) for each in tags) or "none"
    return UsageError(f"no snapshot is named {tag!r}; the snapshots are: {have}")


def cannot_hold(disks: Iterable[str]) -> UsageError:
    """Return the error for disks that cannot hold a snapshot.

    Args:
        disks: The disks, as a message names them.
    """
    return UsageError(
        f"{', '.join(disks)} cannot hold a snapshot: only qcow2 disks can;"
        " convert it with: qemu-img convert -O qcow2 OLD NEW, or give it as read-only"
    )


def snapshot_id(saved: SavedSnapshot) -> SnapshotId:
    """Return the identity of a snapshot."""
    return SnapshotId(saved.tag, saved.time)


_NOTHING: Mapping[SnapshotId, SnapshotId | None] = MappingProxyType({})


class SnapshotTree(NamedTuple):
    """The parents of snapshots.

    Attributes:
        parents: The parent of each known snapshot. A parent stands before its children.
        current: The snapshot that the machine's present state descends from; None for none.
    """

    parents: Mapping[SnapshotId, SnapshotId | None] = _NOTHING
    current: SnapshotId | None = None

    def saved(self, new: SnapshotId) -> SnapshotTree:
        """Return the tree after a new snapshot was saved."""
        return SnapshotTree({**self.parents, new: self.current}, new)

    def loaded(self, old: SnapshotId) -> SnapshotTree:
        """Return the tree after a snapshot was loaded."""
        return SnapshotTree({**self.parents, old: self.parents.get(old)}, old)

    def pruned(self, existing: Collection[SnapshotId]) -> SnapshotTree:
        """Return the tree without the snapshots that no longer exist."""
        if self.parents.keys() <= set(existing):
            return self
        # The nearest existing one: of each removed snapshot, and of each existing one itself.
        nearest: dict[SnapshotId | None, SnapshotId | None] = {None: None}
        kept: dict[SnapshotId, SnapshotId | None] = {}
        for found, parent in self.parents.items():
            nearest[found] = found if found in existing else nearest[parent]
            if found in existing:
                kept[found] = nearest[parent]
        return SnapshotTree(kept, nearest[self.current])


class _Node(Struct, frozen=True, array_like=True):
    tag: Annotated[str, Meta(max_length=256)]
    time: float
    #: The parent's place in the list; -1 for none.
    parent: Annotated[int, Meta(ge=-1)]


class _TreeFile(Struct, frozen=True):
    version: Literal[1]
    snapshots: Annotated[list[_Node], Meta(max_length=1 << 16)]
    current: Annotated[int, Meta(ge=-1)]


def encode(tree: SnapshotTree) -> bytes:
    """Return a tree as the content of a file."""
    places: dict[SnapshotId | None, int] = {None: -1}
    nodes = []
    for found, parent in tree.parents.items():
        nodes.append(_Node(found.tag, found.time, places[parent]))
        places[found] = len(nodes) - 1
    return msgspec.json.encode(_TreeFile(1, nodes, places[tree.current])) + b"\n"


# Made by the import: threads must not make it at the same time (`kju.protocol.framing`).
_decode = msgspec.json.Decoder(_TreeFile).decode


def decode(data: bytes) -> SnapshotTree:
    """Return the tree in a file's content.

    Raises:
        FileError: It is not a tree.
    """
    try:
        file = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"this is not a tree of snapshots: {error}") from error
    ids = [SnapshotId(node.tag, node.time) for node in file.snapshots]
    parents: dict[SnapshotId, SnapshotId | None] = {}
    for place, node in enumerate(file.snapshots):
        # A parent stands before its children, so there are no loops.
        if node.parent >= place or ids[place] in parents:
            raise FileError(f"this is not a tree of snapshots: {node.tag!r} is out of place")
        parents[ids[place]] = ids[node.parent] if node.parent >= 0 else None
    if file.current >= len(ids):
        raise FileError("this is not a tree of snapshots: the current one is missing")
    return SnapshotTree(parents, ids[file.current] if file.current >= 0 else None)
