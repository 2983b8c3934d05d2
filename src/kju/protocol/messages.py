"""The messages between a client and a host.

Every message is one msgpack map with its name under ``type``. The frame around it carries a
number (`framing`): a client numbers its requests from 1, and the host sends one reply to each,
with the same number, in the order in which they are done. A `Notice` answers no request.

Unknown fields are ignored, so that either side can add fields. An unknown message, or a value
out of range, breaks the protocol.

The values in them are in `values`. Messages with files of their own: `Launch` (`launch_options`),
snapshots (`snapshots`), steps (`stepping`), dry runs (`dry_run`), leases (`leases`). The roles that
may send a request are in the host's table, `kju.host.requests`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from .dry_run import DryRun, Planned
from .forks import Begin, Freeze, Frozen, RemoveBase, Revert
from .launch_options import Detach, Launch
from .leases import Renew
from .snapshots import ChangeSnapshot, GetSnapshots, SnapshotList
from .stepping import StepGuest
from .values import (
    PROTOCOL,
    Action,
    Console,
    KeySteps,
    Message,
    Name,
    Rate,
    Reply,
    Request,
    Role,
    Side,
    is_release,
)


class Hello(Request, frozen=True, tag="hello"):
    """Open a connection: the first request. Answered by `Welcome`."""

    protocol: int = PROTOCOL
    role: Role = "view"
    client: Name = ""


class GetInfo(Request, frozen=True, tag="info"):
    """Return the machine's info. Answered by `Info`."""


class GetSurface(Request, frozen=True, tag="surface"):
    """Return one console's surface. Answered by `SurfaceHandle`, with one descriptor.

    The client views the console from now on, unless its rate is 0.

    Attributes:
        rate: The rate at which the client looks; None leaves the rate as it is.
    """

    console: Console = 0
    rate: Rate | None = None


class SetRate(Request, frozen=True, tag="rate"):
    """State how often this client looks at one console. Answered by `Done`.

    Attributes:
        rate: Looks per second; 0 ends the viewing; None for the pace of the console's source.
    """

    console: Console = 0
    rate: Rate | None = None


class GetLive(Request, frozen=True, tag="live"):
    """Return the memory of one console's live window. Answered by `LiveHandle`, one descriptor.

    The window's place in that memory is in the surface, and changes.
    """

    console: Console = 0


class Keys(Request, frozen=True, tag="keys"):
    """Press and release keys, in this order. Answered by `Done` when the last is sent.

    All steps together take at most `LONGEST_KEYS`.

    Attributes:
        console: The keyboard's console.
        steps: Key numbers, each with whether it goes down.
        interval: Milliseconds between two steps; None sends them as fast as the guest takes them.
    """

    steps: KeySteps
    console: Console = 0
    interval: Annotated[int, Meta(ge=0, le=10_000)] | None = None

    @property
    def only_releases(self) -> bool:
        """True if every step releases a key."""
        return bool(self.steps) and not any(down for _, down in self.steps)


class Point(Request, frozen=True, tag="point"):
    """Use the pointer, in this order. Answered by `Done` when the last action is sent.

    Attributes:
        console: The pointer's console.
    """

    actions: Annotated[list[Action], Meta(max_length=256)]
    console: Console = 0

    @property
    def only_releases(self) -> bool:
        """True if every action releases a button or lifts a finger."""
        return bool(self.actions) and all(map(is_release, self.actions))


class Resize(Request, frozen=True, tag="resize"):
    """Ask the guest for a size of its screen; the guest decides. Answered by `Done`.

    The host passes on at most four sizes a second: the newest, and always the last one. A request
    is answered when its size, or a newer one, was passed on.

    Attributes:
        width: Pixels.
        height: Pixels.
        console: The screen's console.
    """

    width: Side
    height: Side
    console: Console = 0


class GetPointer(Request, frozen=True, tag="pointer"):
    """Return the pointer's state. Answered by `PointerState`."""

    console: Console = 0


class GetLamps(Request, frozen=True, tag="lamps"):
    """Return the lamps of a keyboard. Answered by `LampsState`."""

    console: Console = 0


class Cancel(Request, frozen=True, tag="cancel"):
    """Cancel the request of this frame's number: the client no longer waits for it.

    It has no answer of its own: the request is answered, by `Failed` if it was cancelled. A request
    that only releases keys or buttons is carried out all the same: they would stay down.
    """


class Refresh(Request, frozen=True, tag="refresh"):
    """Publish the source's pixels now. Answered by `Done` with the version.

    Attributes:
        sync: Whether the guest's mode is read first, which takes a millisecond of QEMU's main
            loop; otherwise the mode last read is used.
    """

    console: Console = 0
    sync: bool = True


class HoldPublishing(Request, frozen=True, tag="hold"):
    """Publish nothing until `ResumePublishing`, or for *milliseconds*. Answered by `Done`."""

    console: Console = 0
    milliseconds: Annotated[int, Meta(ge=1, le=100)] = 50


class ResumePublishing(Request, frozen=True, tag="unhold"):
    """Resume publishing. Answered by `Done`."""

    console: Console = 0


class Stop(Request, frozen=True, tag="stop"):
    """End the machine. Answered by `Done` before that; `Ended` follows.

    Attributes:
        how: ``quit`` ends the emulator; ``powerdown`` presses the guest's power button, and the
            guest decides what follows.
    """

    how: Literal["quit", "powerdown"] = "quit"


class Power(Request, frozen=True, tag="power"):
    """Pause the guest's processors, resume them, or reset the machine. Answered by `Done`."""

    how: Literal["pause", "resume", "reset"]


class Execute(Request, frozen=True, tag="execute"):
    """Run a QMP command. Answered by `Executed`.

    Attributes:
        command: Its name.
        arguments: Its arguments, a JSON object.
    """

    command: Annotated[str, Meta(min_length=1, max_length=256)]
    arguments: Annotated[str, Meta(max_length=1 << 19)] = "{}"


class ChangeCd(Request, frozen=True, tag="cd"):
    """Put a medium into the machine's CD drive. Answered by `Done`.

    Attributes:
        path: The path of an ISO image; empty ejects the medium.
    """

    path: Annotated[str, Meta(max_length=4096)] = ""


class GetSerial(Request, frozen=True, tag="serial"):
    """Open the serial port that kju has added. Answered by `SerialHandle`, with one descriptor.

    The stream begins with the guest's most recent output. Bytes that a client of the control role
    writes are sent to the guest.
    """


class Subscribe(Request, frozen=True, tag="subscribe"):
    """Send this client events from now on, as `Happened`. Answered by `Done`.

    Attributes:
        since: Begin with the events after this number, as far as the host has them; -1 for new
            events only.
    """

    since: Annotated[int, Meta(ge=-1, lt=1 << 53)] = -1


AnyRequest = (
    Hello
    | Launch
    | Detach
    | DryRun
    | GetInfo
    | GetSurface
    | SetRate
    | GetLive
    | GetPointer
    | GetLamps
    | Keys
    | Point
    | Resize
    | Cancel
    | Refresh
    | HoldPublishing
    | ResumePublishing
    | Stop
    | Power
    | Execute
    | ChangeSnapshot
    | GetSnapshots
    | StepGuest
    | Freeze
    | RemoveBase
    | Revert
    | Begin
    | ChangeCd
    | GetSerial
    | Subscribe
    | Renew
)


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
    """The answer to `GetSurface`; one read-only descriptor is sent with it.

    Attributes:
        address: The file of a surface in a named file; otherwise empty.
    """

    console: int
    size: int
    address: str = ""


class LiveHandle(Reply, frozen=True, tag="live-reply"):
    """The answer to `GetLive`; one read-only descriptor is sent with it."""

    console: int


class Executed(Reply, frozen=True, tag="executed"):
    """The answer to `Execute`.

    Attributes:
        value: QEMU's result, as JSON.
    """

    value: str


class SerialHandle(Reply, frozen=True, tag="serial-reply"):
    """The answer to `GetSerial`; a connected socket is sent with it.

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


class Failed(Reply, frozen=True, tag="failure"):
    """The answer to a request that failed.

    Attributes:
        error: The name of an error in `kju.errors`.
        message: Its text.
        machine: The machine's name, for an error about a machine.
        limit: The limit's name, for an error about a limit; *value* and *asked* belong to it.
        option: The option of a launch, or the key of a definition, that the error is about.
        file: The definition that the error is about; *line* belongs to it.
    """

    error: str
    message: str
    machine: str = ""
    limit: str = ""
    value: int = 0
    asked: int = 0
    option: str = ""
    file: str = ""
    line: int = 0


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
    | Planned
    | Info
    | SurfaceHandle
    | LiveHandle
    | PointerState
    | LampsState
    | Executed
    | SnapshotList
    | Frozen
    | SerialHandle
    | Done
    | Failed
    | Ended
    | Happened
    | Refused
)
