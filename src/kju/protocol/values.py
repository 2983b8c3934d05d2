"""The values in messages, with their limits."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from ..roles import Role as Role
from ..surface.layout import MAX_SIDE

PROTOCOL = 2

Console = Annotated[int, Meta(ge=0, lt=16)]
Key = Annotated[int, Meta(ge=1, le=0xFF)]
KeySteps = Annotated[list[tuple[Key, bool]], Meta(max_length=1024)]
Name = Annotated[str, Meta(max_length=256)]
#: A snapshot's name. A name of digits alone would be taken for the disk's own number of it.
TAG = r"\A(?!\d+\Z)[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z"
Tag = Annotated[str, Meta(pattern=TAG)]
Pixel = Annotated[int, Meta(ge=0, le=MAX_SIDE)]
Distance = Annotated[int, Meta(gt=-(1 << 15), lt=1 << 15)]
Notches = Annotated[int, Meta(ge=-100, le=100)]

#: Milliseconds that one request for `Keys` may take, which is how long another client's keys can
#: wait. A client divides longer texts into requests of a quarter of a second; a chord is not
#: divided, and one of four keys may have 250 ms between its steps.
LONGEST_KEYS = 2000

#: The bus of a disk; empty for QEMU's own choice.
DiskBus = Literal["", "ide", "scsi", "virtio", "nvme", "usb", "sd", "floppy"]
DISK_BUSES = tuple(bus for bus in get_args(DiskBus) if bus)


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


class Wheel(Struct, frozen=True, array_like=True, tag="wheel"):
    """Turn the wheel; down and right are positive."""

    vertical: Notches = 0
    horizontal: Notches = 0


class Finger(Struct, frozen=True, array_like=True, tag="finger"):
    """Put a finger on a pixel, move it to one, or lift it."""

    finger: Annotated[int, Meta(ge=0, le=9)]
    state: Literal["begin", "move", "end"]
    x: Pixel = 0
    y: Pixel = 0


Action = To | By | Button | Wheel | Finger


class Message(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    """The base of all messages."""
