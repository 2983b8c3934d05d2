"""What a client asks about a machine's life, and what it makes of the answers. I/O-free.

Both `kju.Machine` and `kju.aio.Machine` are thin shells around this.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ..errors import UsageError
from ..protocol.messages import TAG, Execute, Happened, Saved
from ..protocol.messages import Snapshot as SnapshotRequest

#: Seconds for a snapshot. QEMU writes all of the guest's memory that is in use: 100 MB took 0.2 s.
SNAPSHOT = 600.0
#: Seconds for a guest to shut down once its power button has been pressed.
SHUTDOWN = 30.0


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
        picture: The screen then, the path of a PNG; empty where there is none.
        input: The input of clients until then, a file's path; empty where there is none.
        lacking: Writable disks that do not hold it; with any it cannot be loaded.
        note: What could not be done when it was saved, such as the picture.
    """

    tag: str
    time: float
    size: int
    picture: str = ""
    input: str = ""
    lacking: tuple[str, ...] = ()
    note: str = ""


def event(happened: Happened) -> Event:
    """An event as it came."""
    return Event(happened.sequence, happened.time, happened.event, happened.data)


def snapshot(saved: Saved, note: str = "") -> Snapshot:
    """A snapshot as it came."""
    lacking = tuple(saved.lacking)
    return Snapshot(saved.tag, saved.time, saved.size, saved.picture, saved.input, lacking, note)


def snapshot_request(how: str, tag: str) -> SnapshotRequest:
    """What is to be done with a snapshot, as a message.

    Raises:
        UsageError: No snapshot can have this name.
    """
    if not re.search(TAG, tag):
        raise UsageError(
            f"{tag!r} cannot be a snapshot's name: use up to 64 letters, digits, '.', '_' and '-',"
            " beginning with a letter or digit, and not only digits"
        )
    return SnapshotRequest(how=how, tag=tag)  # type: ignore[arg-type]  # ours


def execute(command: str, arguments: dict[str, Any]) -> Execute:
    """A QMP command as a message.

    Raises:
        UsageError: Its arguments are no JSON.
    """
    try:
        return Execute(command=command, arguments=json.dumps(arguments))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"the arguments of {command} are no JSON: {error}") from error
