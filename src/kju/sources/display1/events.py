"""What a display listener learns, one frozen class per thing.

Everything here has been checked: sizes are positive and bounded, strides hold their rows,
data and mappings hold their strides (a descriptor's real size is for the shell to check),
rectangles lie inside the scanout. Pixels are views into the receive buffer, to be used before
more is received.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import PeerError
from ...surface.geometry import Rect


@dataclass(frozen=True, slots=True, eq=False)
class Scanout:
    """The console now shows this picture; its bytes came along."""

    width: int
    height: int
    stride: int
    pixman_format: int
    source_format: str
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """This rectangle changed; its bytes came along, with a stride of their own."""

    rect: Rect
    stride: int
    pixman_format: int
    source_format: str
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class ScanoutMap:
    """The console now shows this memory; *fd* is the shell's to map and to close."""

    fd: Any
    offset: int
    width: int
    height: int
    stride: int
    pixman_format: int
    source_format: str


@dataclass(frozen=True, slots=True)
class UpdateMap:
    """This rectangle of the mapped memory changed."""

    rect: Rect


@dataclass(frozen=True, slots=True)
class Unannounced:
    """An update outside of what the console is known to show.

    QEMU does this: it announces a new size only with an update of the whole picture, and a
    text mode sent as bytes is never updated as a whole. A new listener is told the size.
    """

    rect: Rect


@dataclass(frozen=True, slots=True)
class Disable:
    """The console shows nothing."""


@dataclass(frozen=True, slots=True)
class CursorDefine:
    """The cursor's shape: B G R A bytes, the hot spot inside it."""

    width: int
    height: int
    hot_x: int
    hot_y: int
    argb: bytes


@dataclass(frozen=True, slots=True)
class MouseSet:
    """Where the guest draws its cursor, and whether it does."""

    x: int
    y: int
    visible: bool


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """QEMU sent something that was refused; everything else goes on."""

    error: PeerError


Event = (
    Scanout
    | Update
    | ScanoutMap
    | UpdateMap
    | Unannounced
    | Disable
    | CursorDefine
    | MouseSet
    | Mistake
)
