"""The replies and notices of a host."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from .values import PROTOCOL, Message, Role


class Reply(Message, frozen=True, kw_only=True):
    """The base of all replies.

    Attributes:
        descriptors: The number of descriptors that come with this reply.
    """

    descriptors: Annotated[int, Meta(ge=0, le=4)] = 0


class Welcome(Reply, frozen=True, tag="welcome"):
    """The answer to `Hello` and `Launch`."""

    machine: str
    role: Role
    protocol: int = PROTOCOL
    pid: int = 0
    consoles: int = 1
    folder: str = ""


class Info(Reply, frozen=True, tag="info-reply"):
    """The answer to `GetInfo`: plain maps, lists, numbers and text, ready for JSON."""

    info: dict[str, Any]


class SurfaceHandle(Reply, frozen=True, tag="surface-reply"):
    """The answer to `GetSurface`; one read-only descriptor comes with it.

    Attributes:
        address: The file of a surface in a named file; otherwise empty.
    """

    console: int
    size: int
    address: str = ""


class LiveHandle(Reply, frozen=True, tag="live-reply"):
    """The answer to `GetLive`; one read-only descriptor comes with it."""

    console: int


class Executed(Reply, frozen=True, tag="executed"):
    """The answer to `Execute`.

    Attributes:
        value: QEMU's result, as JSON.
    """

    value: str


class Saved(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One snapshot.

    Attributes:
        tag: Its name.
        time: When it was saved, in seconds since the epoch.
        size: Bytes of the machine's state, without the disks'.
        picture: The path of the screen at that time, a PNG; empty if missing.
        input: The path of the input log until then; empty if missing.
        lacking: Writable disks that do not hold it; with any, it cannot be loaded.
    """

    tag: str
    time: float = 0.0
    size: int = 0
    picture: str = ""
    input: str = ""
    lacking: list[str] = field(default_factory=list)


class Snapshots(Reply, frozen=True, tag="snapshots-reply"):
    """The answer to `GetSnapshots`, oldest first; or to `Snapshot`, with that one.

    Attributes:
        snapshots: The snapshots.
        note: What could not be done besides, such as saving the picture.
    """

    snapshots: list[Saved] = field(default_factory=list)
    note: str = ""


class SerialHandle(Reply, frozen=True, tag="serial-reply"):
    """The answer to `GetSerial`; a connected socket comes with it.

    Attributes:
        writable: Whether bytes written there are sent to the guest.
    """

    writable: bool


class PointerState(Reply, frozen=True, tag="pointer-reply"):
    """The answer to `GetPointer`.

    Attributes:
        absolute: Whether it takes positions now; otherwise it takes distances.
        held: The names of the buttons that are down.
    """

    absolute: bool
    held: list[str] = field(default_factory=list)


class LampsState(Reply, frozen=True, tag="lamps-reply"):
    """The answer to `GetLamps`.

    Attributes:
        lit: The names of the locks that are on; None if the lamps are unknown.
    """

    lit: list[str] | None = None


class Done(Reply, frozen=True, tag="done"):
    """The answer to a request without a result of its own.

    Attributes:
        version: The surface's version, if the request was about one. For input it is the version
            before it: the guest's reaction is newer.
        epoch: The epoch of that version.
        incarnation: The incarnation of that surface.
    """

    version: int = 0
    epoch: int = 0
    incarnation: int = 0


class Failure(Reply, frozen=True, tag="failure"):
    """The answer to a request that failed.

    Attributes:
        error: The name of an error in `kju.errors`.
        message: Its text.
        machine: The machine's name, for an error about a machine.
        limit: The limit's name, for an error about a limit; *value* and *asked* belong to it.
    """

    error: str
    message: str
    machine: str = ""
    limit: str = ""
    value: int = 0
    asked: int = 0


class Notice(Message, frozen=True, kw_only=True):
    """The base of messages that answer no request."""


class Ended(Notice, frozen=True, tag="ended"):
    """The machine has ended; the connection closes next.

    Attributes:
        reason: Why, in one line.
        status: The emulator's exit status, negative for a signal; None if unknown.
        log: The last lines of its output.
    """

    reason: str
    status: int | None = None
    log: list[str] = field(default_factory=list)


class Happened(Notice, frozen=True, tag="happened"):
    """An event in the machine's life, sent to clients that have subscribed.

    Attributes:
        sequence: Counts events from 1, without a gap.
        time: Seconds since the epoch.
        event: Its name; see `kju.emulators.events`.
        data: Its data, ready for JSON.
    """

    sequence: Annotated[int, Meta(ge=1)]
    time: float
    event: str
    data: dict[str, Any] = field(default_factory=dict)


class Refused(Notice, frozen=True, tag="refused"):
    """The host no longer serves this client; the connection closes next, the machine continues.

    Attributes:
        reason: Why, in one line.
    """

    reason: str


FromHost = (
    Welcome
    | Info
    | SurfaceHandle
    | LiveHandle
    | PointerState
    | LampsState
    | Executed
    | Snapshots
    | SerialHandle
    | Done
    | Failure
    | Ended
    | Happened
    | Refused
)
