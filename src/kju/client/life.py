"""What a client asks about a machine's life, and what it makes of the answers. I/O-free.

Both `kju.Machine` and `kju.aio.Machine` are thin shells around this.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ..errors import UsageError
from ..protocol.messages import ChangeSnapshot, Execute, Happened, SavedSnapshot
from ..protocol.values import TAG


class Event(NamedTuple):
    """Something that has happened in a machine's life.

    Attributes:
        sequence: Counts a machine's events from 1, without a gap.
        time: Seconds since the epoch.
        name: What: see `kju.emulators.events`.
        data: More about it, ready for JSON.
    """

    sequence: int
    time: float
    name: str
    data: dict[str, Any]


class Snapshot(NamedTuple):
    """One snapshot of a machine.

    Attributes:
        tag: Its name.
        time: When it was saved, in seconds since the epoch.
        size: Bytes of the machine's state, without the disks'.
        picture: The path of a PNG of the screen; None without a screen.
        input: The path of the log of input until then; None if nothing was logged.
        lacking: Writable disks that do not hold the snapshot; with any it cannot be loaded.
        note: What could not be saved, such as the picture; None if everything was.
    """

    tag: str
    time: float
    size: int
    picture: str | None = None
    input: str | None = None
    lacking: tuple[str, ...] = ()
    note: str | None = None


def event(happened: Happened) -> Event:
    """An event as it came."""
    return Event(happened.sequence, happened.time, happened.event, happened.data)


def snapshot(saved: SavedSnapshot, note: str = "") -> Snapshot:
    """A snapshot as it came."""
    return Snapshot(
        saved.tag,
        saved.time,
        saved.size,
        saved.picture or None,
        saved.input or None,
        tuple(saved.lacking),
        note or None,
    )


def snapshot_request(how: str, tag: str) -> ChangeSnapshot:
    """What is to be done with a snapshot, as a message.

    Raises:
        UsageError: No snapshot can have this name.
    """
    if not re.search(TAG, tag):
        raise UsageError(
            f"{tag!r} cannot be a snapshot's name: use up to 64 letters, digits, '.', '_' and '-',"
            " beginning with a letter or digit, and not only digits"
        )
    return ChangeSnapshot(how=how, tag=tag)  # type: ignore[arg-type]  # ours


def execute(command: str, arguments: dict[str, Any]) -> Execute:
    """A QMP command as a message.

    Raises:
        UsageError: Its arguments are no JSON.
    """
    try:
        return Execute(command=command, arguments=json.dumps(arguments))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the arguments of {command} are no JSON: {error}") from error
