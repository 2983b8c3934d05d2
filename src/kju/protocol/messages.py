"""What a client and a host say to each other: the messages, and nothing else.

Every message is one msgpack map with its name under ``type``. A client numbers its
requests from 1; the host answers each with one reply of the same number, in whatever
order they are done. A `Notice` has no number: nobody asked for it.

Unknown fields are ignored, so that either side may learn new ones; an unknown message,
or a value out of range, is a broken protocol.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct

from .kinds import KindName

PROTOCOL = 1

Role = Literal["view", "control"]
#: Empty for what is best.
Codec = Literal["", "zstd", "lz4", "raw"]
Number = Annotated[int, Meta(ge=1, lt=1 << 53)]
Console = Annotated[int, Meta(ge=0, lt=16)]
Key = Annotated[int, Meta(ge=1, le=0xFF)]
KeySteps = Annotated[list[tuple[Key, bool]], Meta(max_length=1024)]
Name = Annotated[str, Meta(max_length=256)]
#: A snapshot's name. Tools that take one take a number for the disk's own count of them.
TAG = r"\A(?!\d+\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z"
Tag = Annotated[str, Meta(pattern=TAG)]
Pixel = Annotated[int, Meta(ge=0, lt=1 << 16)]
Distance = Annotated[int, Meta(gt=-(1 << 15), lt=1 << 15)]
Notches = Annotated[int, Meta(ge=-100, le=100)]

#: Milliseconds that one request for `Keys` may take, so that other clients' keys wait for no
#: longer. A client divides longer texts into requests of a quarter of a second; a chord is not
#: divided, and one of four keys may have 250 ms between its steps.
LONGEST_KEYS = 2000


#: Where a disk can be put; empty for where QEMU itself puts it.
DiskBus = Literal["", "ide", "scsi", "virtio", "nvme", "usb", "sd", "floppy"]
DISK_BUSES = tuple(bus for bus in get_args(DiskBus) if bus)


class Message(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    """Any message."""


class Request(Message, frozen=True, kw_only=True):
    """What a client may ask for.

    Attributes:
        number: The request's number; the reply has the same.
    """

    number: Number = 1


class Hello(Request, frozen=True, tag="hello"):
    """The first request. Answered by `Welcome`."""

    protocol: int = PROTOCOL
    role: Role = "view"
    client: Name = ""


class Remote(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a mirror reaches the screen that it is one of.

    Attributes:
        connect: Where its sender or a router listens.
        role: What the mirror wants to be there.
        user: Who it says that it is; empty for nobody.
        trust: The folder of certificates and keys; empty for none.
        audience: Be one of an audience, to whom all is sent once.
        insecure: Whether it may be that nothing is encrypted.
        lossy: What is like a photograph may come as JPEG first.
        codec: What else is compressed with; empty for what is best.
        sender: The name that the sender must prove; empty for the one that is known.
    """

    connect: Annotated[list[str], Meta(max_length=64)]
    role: Role = "control"
    user: Name = ""
    trust: str = ""
    audience: bool = False
    insecure: bool = False
    lossy: bool = False
    codec: Codec = ""
    sender: Name = ""


class Launch(Request, frozen=True, tag="launch"):
    """The first and only request on the connection of the process that started a host.

    It stands for a `Hello` with the control role: the connection stays open, and a host
    that is not detached ends when it does.

    Attributes:
        machine: The machine's name; empty to have one made from the image's.
        emulator: What is to run. Of the rest, Xvfb takes only what is not a guest's.
        running: A running Xvfb to show in place of starting one: ``:5``, the folder of its
            ``-fbdir`` or ``sysv:ID``; or the screen to mirror: ``zenoh:lab/host1/debian``.
        remote: How to get to that.
        image: A disk, CD or kernel; empty for none.
        disks: Further disks and CDs.
        firmware: ``uefi``, the path of a firmware's image, or empty for QEMU's own.
        folder: Where the machine is kept, with what belongs to it; empty for one that is not.
        memory: QEMU's ``-m``; empty for none.
        cpus: QEMU's ``-smp``; 0 for none.
        disk_bus: The bus of the disks; empty for the one that QEMU itself uses.
        trust_disk: Whether disks may name files anywhere and on the network.
        arguments: The user's own arguments for it, passed on as they are.
        qemu: The QEMU to run; empty to look for one.
        surface: A file to put the surface in; empty for a memfd.
        detach: Whether the machine outlives this connection.
        log_level: What host.log is to hold: ``debug``, ``info``, ``warning``, ``error``.
        client: Who asks, for the list of clients.
    """

    machine: Name = ""
    emulator: KindName = "qemu"
    running: str = ""
    remote: Remote | None = None
    image: str = ""
    disks: Annotated[list[str], Meta(max_length=1000)] = []
    firmware: str = ""
    folder: str = ""
    memory: str = ""
    cpus: Annotated[int, Meta(ge=0, le=1024)] = 0
    disk_bus: DiskBus = ""
    trust_disk: bool = False
    arguments: Annotated[list[str], Meta(max_length=10_000)] = []
    qemu: str = ""
    surface: str = ""
    detach: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    client: Name = ""


class GetInfo(Request, frozen=True, tag="info"):
    """Everything about the machine. Answered by `Info`."""


class GetSurface(Request, frozen=True, tag="surface"):
    """One console's surface. Answered by `SurfaceHandle`, with one descriptor."""

    console: Console = 0


class GetLive(Request, frozen=True, tag="live"):
    """The memory of one console's live window. Answered by `LiveHandle`, with one descriptor.

    Where in it the window lies is in the surface, and changes.
    """

    console: Console = 0


class Keys(Request, frozen=True, tag="keys"):
    """Press and release keys, in this order. Answered by `Done` when the last is sent.

    All steps together take at most `LONGEST_KEYS`.

    Attributes:
        console: The console whose keyboard it is.
        steps: Key numbers, and whether each goes down.
        interval: Milliseconds between two steps; without it they are sent together, as many as
            the guest's keyboard has room for and as fast as it takes them.
    """

    steps: KeySteps
    console: Console = 0
    interval: Annotated[int, Meta(ge=0, le=10_000)] | None = None


class To(Struct, frozen=True, array_like=True, tag="to"):
    """The pointer goes to a pixel."""

    x: Pixel
    y: Pixel


class By(Struct, frozen=True, array_like=True, tag="by"):
    """The pointer moves by so much, in the guest's own units."""

    dx: Distance
    dy: Distance


#: The names of buttons, in the order of their numbers.
BUTTONS = ("left", "middle", "right", "side", "extra")


class Button(Struct, frozen=True, array_like=True, tag="button"):
    """A button goes down or up, by its place in `BUTTONS`."""

    button: Annotated[int, Meta(ge=0, le=4)]
    down: bool


class Wheel(Struct, frozen=True, array_like=True, tag="wheel"):
    """The wheel turns by so many notches, down and right counting up."""

    vertical: Notches = 0
    horizontal: Notches = 0


class Finger(Struct, frozen=True, array_like=True, tag="finger"):
    """A finger comes down on a pixel, moves to one, or is lifted."""

    finger: Annotated[int, Meta(ge=0, le=9)]
    state: Literal["begin", "move", "end"]
    x: Pixel = 0
    y: Pixel = 0


Action = To | By | Button | Wheel | Finger


class Point(Request, frozen=True, tag="point"):
    """Use the pointer, in this order. Answered by `Done` when the last action is sent.

    Attributes:
        console: The console whose pointer it is.
    """

    actions: Annotated[list[Action], Meta(max_length=256)]
    console: Console = 0


class GetPointer(Request, frozen=True, tag="pointer"):
    """What the pointer is. Answered by `PointerState`."""

    console: Console = 0


class GetLamps(Request, frozen=True, tag="lamps"):
    """The lamps of a keyboard. Answered by `LampsState`."""

    console: Console = 0


class Cancel(Request, frozen=True, tag="cancel"):
    """Break off the request of this number: nobody waits for it any more.

    It has no answer of its own: the request is answered, by `Failure` if it was broken off.
    """


class Refresh(Request, frozen=True, tag="refresh"):
    """Publish what the source has now. Answered by `Done` with the version.

    Attributes:
        sync: Whether the guest's mode is read first, which takes a millisecond of QEMU's main
            loop; else it is the one last read.
    """

    console: Console = 0
    sync: bool = True


class Hold(Request, frozen=True, tag="hold"):
    """Publish nothing until `Unhold`, or for *milliseconds*. Answered by `Done`."""

    console: Console = 0
    milliseconds: Annotated[int, Meta(ge=1, le=100)] = 50


class Unhold(Request, frozen=True, tag="unhold"):
    """Go on publishing. Answered by `Done`."""

    console: Console = 0


class Stop(Request, frozen=True, tag="stop"):
    """End the machine. Answered by `Done` before it happens; `Ended` follows.

    Attributes:
        how: ``quit`` ends the emulator; ``powerdown`` presses the guest's power button, and what
            follows is up to the guest.
    """

    how: Literal["quit", "powerdown"] = "quit"


class Power(Request, frozen=True, tag="power"):
    """Stop the guest's processors, let them run again, or reset the machine. Answered by `Done`."""

    how: Literal["pause", "resume", "reset"]


class Execute(Request, frozen=True, tag="execute"):
    """Have QEMU run a QMP command. Answered by `Executed`.

    Attributes:
        command: Its name.
        arguments: Its arguments, a JSON object.
    """

    command: Annotated[str, Meta(min_length=1, max_length=256)]
    arguments: Annotated[str, Meta(max_length=1 << 19)] = "{}"


class Snapshot(Request, frozen=True, tag="snapshot"):
    """Save, load or remove a snapshot of the whole machine. Answered by `Snapshots`.

    Attributes:
        how: What is to be done.
        tag: The snapshot's name.
    """

    how: Literal["save", "load", "remove"]
    tag: Tag


class GetSnapshots(Request, frozen=True, tag="snapshots"):
    """The machine's snapshots. Answered by `Snapshots`."""


class GetSerial(Request, frozen=True, tag="serial"):
    """The serial port that kju has added. Answered by `SerialHandle`, with one descriptor.

    What comes through that begins with the last that the guest has said. What a client of the
    control role writes there goes to the guest.
    """


class Subscribe(Request, frozen=True, tag="subscribe"):
    """Tell this client what happens from now on, by `Happened`. Answered by `Done`.

    Attributes:
        since: Begin with the events after the one of this number, as far as they are still
            known; -1 for none of the past.
    """

    since: Annotated[int, Meta(ge=-1, lt=1 << 53)] = -1


class Reply(Message, frozen=True, kw_only=True):
    """An answer.

    Attributes:
        number: The request's number.
        descriptors: How many descriptors came with this reply.
    """

    number: int
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
        address: The file it is, for a surface in a named file; else empty.
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
        value: What QEMU returned, as JSON.
    """

    value: str


class Saved(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One snapshot.

    Attributes:
        tag: Its name.
        time: When it was saved, in seconds since the epoch.
        size: Bytes of the machine's state, without the disks'.
        picture: The screen then, a PNG's path; empty where there is none.
        input: The input of clients until then, a file's path; empty where there is none.
        lacking: Writable disks that do not hold it; with any, it cannot be loaded.
    """

    tag: str
    time: float = 0.0
    size: int = 0
    picture: str = ""
    input: str = ""
    lacking: list[str] = []


class Snapshots(Reply, frozen=True, tag="snapshots-reply"):
    """The answer to `GetSnapshots`, oldest first; or to `Snapshot`, with the one it was about.

    Attributes:
        snapshots: What there is.
        note: What could not be done besides, such as the picture.
    """

    snapshots: list[Saved] = []
    note: str = ""


class SerialHandle(Reply, frozen=True, tag="serial-reply"):
    """The answer to `GetSerial`; a connected socket comes with it.

    Attributes:
        writable: Whether the guest gets what is written there.
    """

    writable: bool


class PointerState(Reply, frozen=True, tag="pointer-reply"):
    """The answer to `GetPointer`.

    Attributes:
        absolute: Whether it takes positions now; else it takes distances.
        held: The names of the buttons that are down.
    """

    absolute: bool
    held: list[str] = []


class LampsState(Reply, frozen=True, tag="lamps-reply"):
    """The answer to `GetLamps`.

    Attributes:
        lit: The names of the locks that are on; None where the lamps are unknown.
    """

    lit: list[str] | None = None


class Done(Reply, frozen=True, tag="done"):
    """It is done.

    Attributes:
        version: The surface's version then, where the request was about one. Of an input it is
            the one before it: what the guest did with it is newer.
        epoch: Of that version.
        incarnation: Of that surface.
    """

    version: int = 0
    epoch: int = 0
    incarnation: int = 0


class Failure(Reply, frozen=True, tag="failure"):
    """It could not be done.

    Attributes:
        error: The name of an error in `kju.errors`.
        message: Its text.
        machine: The machine it is about, if it is about one.
    """

    error: str
    message: str
    machine: str = ""
    limit: str = ""
    value: int = 0
    asked: int = 0


class Notice(Message, frozen=True, kw_only=True):
    """What a host says without being asked."""


class Ended(Notice, frozen=True, tag="ended"):
    """The machine has ended; the connection closes next.

    Attributes:
        reason: Why, in one line.
        status: The emulator's exit status, negative for a signal; None where it is not known.
        log: The last lines of what it printed.
    """

    reason: str
    status: int | None = None
    log: list[str] = []


class Happened(Notice, frozen=True, tag="happened"):
    """Something has happened in the machine's life; only who has subscribed is told.

    Attributes:
        sequence: Counts events from 1, without a gap.
        time: Seconds since the epoch.
        event: What; see `kju.emulators.events`.
        data: More about it, ready for JSON.
    """

    sequence: Annotated[int, Meta(ge=1)]
    time: float
    event: str
    data: dict[str, Any] = {}


class Refused(Notice, frozen=True, tag="refused"):
    """This client is not served any more; the connection closes next, the machine goes on.

    Attributes:
        reason: Why, in one line.
    """

    reason: str


LifeRequest = Power | Execute | Snapshot | GetSnapshots | GetSerial | Subscribe
AnyRequest = (
    Hello
    | Launch
    | GetInfo
    | GetSurface
    | GetLive
    | GetPointer
    | GetLamps
    | Keys
    | Point
    | Cancel
    | Refresh
    | Hold
    | Unhold
    | Stop
    | LifeRequest
)
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

#: What a client of the view role may not ask for.
CONTROL = (GetLive, Keys, Point, Hold, Stop, Power, Execute, Snapshot)
