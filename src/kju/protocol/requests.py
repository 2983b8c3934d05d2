"""The requests of a client."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from .kinds import KindName
from .values import PROTOCOL, Action, Console, DiskBus, KeySteps, Message, Name, Role, Tag


class Request(Message, frozen=True, kw_only=True):
    """The base of all requests."""


class Hello(Request, frozen=True, tag="hello"):
    """Open a connection: the first request. Answered by `Welcome`."""

    protocol: int = PROTOCOL
    role: Role = "view"
    client: Name = ""


class Remote(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The connection of a mirror.

    Attributes:
        connect: Endpoints of the sender or of routers.
        role: The role that the mirror asks the sender for.
        user: The user to authenticate as; empty for none.
        trust: The folder of certificates and keys; empty for none.
        audience: Join an audience, to which everything is sent once.
        insecure: Allow an unencrypted connection.
        lossy: Allow JPEG for photographic areas.
        codec: The codec of everything else; empty for the best one available.
        sender: The name that the sender must prove; empty for the known one.
    """

    connect: Annotated[list[str], Meta(max_length=64)]
    role: Role = "control"
    user: Name = ""
    trust: str = ""
    audience: bool = False
    insecure: bool = False
    lossy: bool = False
    codec: Name = ""
    sender: Name = ""


class Launch(Request, frozen=True, tag="launch"):
    """Launch a machine: the only request on the connection of the process that started a host.

    It replaces a `Hello` with the control role. The connection stays open, and a host that is not
    detached ends with it.

    Attributes:
        machine: The machine's name; empty for one made from the image's.
        emulator: The kind of emulator. One without a guest takes none of the guest's options.
        running: A running emulator to show instead of starting one, as its kind names it; or the
            screen to mirror: ``zenoh:lab/host1/debian``.
        remote: The connection to the screen to mirror.
        image: A disk, CD or kernel; empty for none.
        disks: Further disks and CDs.
        firmware: ``uefi``, the path of a firmware's image, or empty for QEMU's own.
        folder: The folder of a defined machine; empty for another.
        memory: QEMU's ``-m``; empty for the default.
        cpus: QEMU's ``-smp``; 0 for the default.
        disk_bus: The bus of the disks; empty for QEMU's own choice.
        trust_disk: Whether disks may name files anywhere and on the network.
        arguments: The user's own arguments, passed on unchanged.
        qemu: The QEMU to run; empty to search for one.
        surface: A file for the surface; empty for a memfd.
        detach: Whether the machine outlives this connection.
        log_level: The level of host.log: ``debug``, ``info``, ``warning``, ``error``.
        client: The client's name, for the list of clients.
    """

    machine: Name = ""
    emulator: KindName = "qemu"
    running: str = ""
    remote: Remote | None = None
    image: str = ""
    disks: Annotated[list[str], Meta(max_length=1000)] = field(default_factory=list)
    firmware: str = ""
    folder: str = ""
    memory: str = ""
    cpus: Annotated[int, Meta(ge=0, le=1024)] = 0
    disk_bus: DiskBus = ""
    trust_disk: bool = False
    arguments: Annotated[list[str], Meta(max_length=10_000)] = field(default_factory=list)
    qemu: str = ""
    surface: str = ""
    detach: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    client: Name = ""


class GetInfo(Request, frozen=True, tag="info"):
    """Return the machine's info. Answered by `Info`."""


class GetSurface(Request, frozen=True, tag="surface"):
    """Return one console's surface. Answered by `SurfaceHandle`, with one descriptor."""

    console: Console = 0


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


class Point(Request, frozen=True, tag="point"):
    """Use the pointer, in this order. Answered by `Done` when the last action is sent.

    Attributes:
        console: The pointer's console.
    """

    actions: Annotated[list[Action], Meta(max_length=256)]
    console: Console = 0


class GetPointer(Request, frozen=True, tag="pointer"):
    """Return the pointer's state. Answered by `PointerState`."""

    console: Console = 0


class GetLamps(Request, frozen=True, tag="lamps"):
    """Return the lamps of a keyboard. Answered by `LampsState`."""

    console: Console = 0


class Cancel(Request, frozen=True, tag="cancel"):
    """Cancel the request of this frame's number: the client no longer waits for it.

    It has no answer of its own: the request is answered, by `Failure` if it was cancelled.
    """


class Refresh(Request, frozen=True, tag="refresh"):
    """Publish the source's pixels now. Answered by `Done` with the version.

    Attributes:
        sync: Whether the guest's mode is read first, which takes a millisecond of QEMU's main
            loop; otherwise the mode last read is used.
    """

    console: Console = 0
    sync: bool = True


class Hold(Request, frozen=True, tag="hold"):
    """Publish nothing until `Unhold`, or for *milliseconds*. Answered by `Done`."""

    console: Console = 0
    milliseconds: Annotated[int, Meta(ge=1, le=100)] = 50


class Unhold(Request, frozen=True, tag="unhold"):
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


class Snapshot(Request, frozen=True, tag="snapshot"):
    """Save, load or remove a snapshot of the whole machine. Answered by `Snapshots`.

    Attributes:
        how: The action.
        tag: The snapshot's name.
    """

    how: Literal["save", "load", "remove"]
    tag: Tag


class GetSnapshots(Request, frozen=True, tag="snapshots"):
    """Return the machine's snapshots. Answered by `Snapshots`."""


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
    | Power
    | Execute
    | Snapshot
    | GetSnapshots
    | GetSerial
    | Subscribe
)
