"""The values in messages: roles, kinds of emulators, rates, keys, pointer actions. I/O-free.

A kind of emulator is a folder ``kju/emulators/NAME`` with the modules ``launch`` and ``emulator``
(see `kju.emulators.launch`), and one line in `KINDS`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Annotated, Literal, NamedTuple, get_args

from msgspec import Meta, Struct

from ..errors import EmulatorError, QemuError, XvfbError
from ..surface.layout import MAX_SIDE

PROTOCOL = 2


class Message(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    """The base of all messages."""


class Request(Message, frozen=True, kw_only=True):
    """The base of all requests."""

    @property
    def only_releases(self) -> bool:
        """True if it releases keys or buttons, and does nothing else."""
        return False


class Reply(Message, frozen=True, kw_only=True):
    """The base of all replies.

    Attributes:
        descriptors: The number of descriptors that are sent with this reply.
    """

    descriptors: Annotated[int, Meta(ge=0, le=4)] = 0


Console = Annotated[int, Meta(ge=0, lt=16)]
Key = Annotated[int, Meta(ge=1, le=0xFF)]
KeySteps = Annotated[list[tuple[Key, bool]], Meta(max_length=1024)]
Name = Annotated[str, Meta(max_length=256)]
MAX_RATE = 1000
#: Looks per second of a viewer; 0: it does not look.
Rate = Annotated[float, Meta(ge=0, le=MAX_RATE)]
#: Looks per second at which a source's own pace is as good: its probes are 24 to 33 ms apart.
OWN_RATE = 40.0
#: The name of a snapshot or a base. A disk has numbers of its own for its snapshots, so a name is
#: not only digits.
TAG = r"\A(?!\d+\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z"
Tag = Annotated[str, Meta(pattern=TAG)]


def tag_fault(tag: object, what: str = "snapshot") -> str:
    """Return the error of a tag that kju does not accept; empty for a valid one.

    Args:
        tag: The name of a snapshot, or of a base.
        what: Which of them.
    """
    if isinstance(tag, str) and re.search(TAG, tag):
        return ""
    return (
        f"{tag!r} cannot be a {what}'s name: use up to 64 letters, digits, '.', '_' and '-',"
        " beginning with a letter, a digit or '_', and not only digits"
    )


Pixel = Annotated[int, Meta(ge=0, le=MAX_SIDE)]
#: The shortest side of a screen that a client may ask a guest for.
MIN_SIDE = 32
Side = Annotated[int, Meta(ge=MIN_SIDE, le=MAX_SIDE)]
Distance = Annotated[int, Meta(gt=-(1 << 15), lt=1 << 15)]
Notches = Annotated[int, Meta(ge=-100, le=100)]

DiskBus = Literal["ide", "scsi", "virtio", "nvme", "usb", "sd", "floppy"]
DISK_BUSES: tuple[DiskBus, ...] = get_args(DiskBus)

# -- sizes

_SIZE = re.compile(r"(?=[0-9.]*[1-9])[0-9]{1,12}(\.[0-9]{1,12})?(?P<unit>[KMGTPE])?", re.IGNORECASE)


def size_fault(name: str, value: object) -> str:
    """Return the error of a size that is not a number with a unit; empty for a valid one.

    A plain number is MiB of memory, as QEMU's ``-m`` takes it. A disk's size needs a unit, because
    qemu-img takes a plain number for bytes.
    """
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found and (found["unit"] or name == "memory"):
        return ""
    example = "20G" if name == "disk" else "2G"
    return f"invalid {name} size {value!r}; write a number and a unit, such as {example}"


# -- roles, of clients and of viewers on the network

Role = Literal["view", "control"]
ROLES: tuple[Role, ...] = get_args(Role)


def granted(held: Role, wanted: Role) -> Role:
    """Return the role that a user who holds one role gets after asking for another."""
    return "control" if held == wanted == "control" else "view"


def may_send_input(role: Role) -> bool:
    """Return whether a role may send keys and pointer input."""
    return role == "control"


# -- kinds of emulators


class EmulatorKind(NamedTuple):
    """One kind of emulator.

    Attributes:
        name: Of its folder, of its log (``NAME.log``) and of its entry in a machine's info.
        title: For messages.
        error: Raised where it is missing, refuses to start, or fails.
        has_guest: Whether it runs a guest: it has QMP, snapshots, a power button and disks.
        is_remote: Whether it shows another host's machine.
    """

    name: str
    title: str
    error: type[EmulatorError]
    has_guest: bool = False
    is_remote: bool = False


KINDS = {
    kind.name: kind
    for kind in (
        EmulatorKind("qemu", "QEMU", QemuError, has_guest=True),
        EmulatorKind("xvfb", "Xvfb", XvfbError),
        EmulatorKind("mirror", "the mirror", EmulatorError, is_remote=True),
    )
}
#: The name of a kind, in messages.
KindName = Annotated[str, Meta(pattern=rf"\A({'|'.join(KINDS)})\Z")]

# -- input

#: Milliseconds that one request for `Keys` may take, which is how long another client's keys can
#: wait. A client divides longer texts into requests of a quarter of a second; a chord is not
#: divided, and one of four keys may have 250 ms between its steps.
LONGEST_KEYS = 2000


class To(Struct, frozen=True, array_like=True, tag="to"):
    """Move the pointer to a pixel."""

    x: Pixel
    y: Pixel


class By(Struct, frozen=True, array_like=True, tag="by"):
    """Move the pointer by a distance, in the guest's own units."""

    dx: Distance
    dy: Distance


#: The names of buttons, in the order of their numbers.
BUTTONS = ("left", "middle", "right", "side", "extra")


class Button(Struct, frozen=True, array_like=True, tag="button"):
    """Press or release a button, by its index in `BUTTONS`."""

    button: Annotated[int, Meta(ge=0, le=4)]
    down: bool


class TurnWheel(Struct, frozen=True, array_like=True, tag="wheel"):
    """Turn the wheel; down and right are positive."""

    vertical: Notches = 0
    horizontal: Notches = 0


class Finger(Struct, frozen=True, array_like=True, tag="finger"):
    """Put a finger on a pixel, move it to one, or lift it."""

    finger: Annotated[int, Meta(ge=0, le=9)]
    state: Literal["begin", "move", "end"]
    x: Pixel = 0
    y: Pixel = 0


Action = To | By | Button | TurnWheel | Finger


def is_release(action: Action) -> bool:
    """Return whether an action releases a button or lifts a finger."""
    match action:
        case Button(down=down):
            return not down
        case Finger(state=state):
            return state == "end"
        case _:
            return False


# -- the start of the last chord or gesture of a request
#
# A guest may react to a key, or a click, at its press or at its release. A mark taken before the
# first step of the last chord, character or gesture is older than either reaction.


def last_chord(steps: Sequence[tuple[int, bool]]) -> int:
    """Return the index of the first step of the last chord or character.

    It is the first of the consecutive presses before the last releases. Keys that were pressed
    earlier and are still held, such as shift over several letters, do not count.
    """
    at = len(steps)
    while at and not steps[at - 1][1]:
        at -= 1
    while at and steps[at - 1][1]:
        at -= 1
    return at


def last_gesture(actions: Sequence[Action]) -> int:
    """Return the index of the first action of the last gesture.

    A gesture lasts from the press of a button or the touch of a finger until all are released; any
    other action is a gesture by itself, and so are consecutive releases.
    """
    begin = 0
    down: set[tuple[type, int]] = set()
    released = False
    for at, action in enumerate(actions):
        releases = is_release(action)
        idle = not down
        if isinstance(action, Button):
            (down.discard if releases else down.add)((Button, action.button))
        elif isinstance(action, Finger):
            (down.discard if releases else down.add)((Finger, action.finger))
        if idle and not (releases and released):
            begin = at
        released = releases
    return begin


def fastest(rates: Collection[float | None]) -> float | None:
    """Return the rate of a source for viewers with these rates; None for its own pace.

    A viewer without a rate takes the source's own pace, which a higher rate exceeds.
    """
    stated = max((rate for rate in rates if rate is not None), default=0.0)
    own = not stated or (None in rates and stated <= OWN_RATE)
    return None if own else stated


def fastest_look(rates: Collection[float | None]) -> float | None:
    """Return the same for viewers that may not look at all; 0 if none of them looks."""
    looking = [rate for rate in rates if rate != 0]
    return fastest(looking) if looking else 0.0
