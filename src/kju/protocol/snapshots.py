"""The messages about a machine's snapshots. I/O-free."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from .values import Reply, Request, Tag


class ChangeSnapshot(Request, frozen=True, tag="snapshot"):
    """Save, load or remove a snapshot of the whole machine. Answered by `SnapshotList`.

    Attributes:
        how: The action.
        tag: The snapshot's name.
    """

    how: Literal["save", "load", "remove"]
    tag: Tag


class GetSnapshots(Request, frozen=True, tag="snapshots"):
    """Return the machine's snapshots. Answered by `SnapshotList`."""


class SavedSnapshot(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One snapshot.

    Attributes:
        tag: Its name.
        time: When it was saved, in seconds since the epoch.
        size: Bytes of the machine's state, without the disks'.
        picture: The path of the screen at that time, a PNG; empty if missing.
        input: The path of the input log until then; empty if missing.
        lacking: Writable disks that do not hold it; with any, it cannot be loaded.
        parent: The tag of the snapshot that was saved or loaded last before; empty if unknown.
        current: Whether the machine's present state descends from it.
    """

    tag: str
    time: float = 0.0
    size: int = 0
    picture: str = ""
    input: str = ""
    lacking: list[str] = field(default_factory=list)
    parent: str = ""
    current: bool = False


class SnapshotList(Reply, frozen=True, tag="snapshots-reply"):
    """The answer to `GetSnapshots`, oldest first; or to `ChangeSnapshot`, with that one.

    Attributes:
        snapshots: The snapshots.
        note: What could not be done besides, such as saving the picture.
    """

    snapshots: list[SavedSnapshot] = field(default_factory=list)
    note: str = ""
