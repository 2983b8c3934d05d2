"""The events of a display listener: one frozen class each.

All values are checked: sizes are positive and bounded, strides contain their rows, data and
mappings contain their strides, rectangles lie inside the scanout. The shell checks the size of a
descriptor's memory. Pixels are views into the receive buffer: use them before more is received.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import PeerError
from ...surface.geometry import Rect


@dataclass(frozen=True, slots=True, eq=False)
class Scanout:
    """The console shows another picture; the message contains its bytes."""

    width: int
    height: int
    stride: int
    pixman_format: int
    source_format: str
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """A rectangle has changed; the message contains its bytes, with their own stride."""

    rect: Rect
    stride: int
    pixman_format: int
    source_format: str
    data: memoryview


@dataclass(frozen=True, slots=True, eq=False)
class ScanoutMap:
    """The console shows other memory; the shell maps and closes *fd*."""

    fd: Any
    offset: int
    width: int
    height: int
    stride: int
    pixman_format: int
    source_format: str


@dataclass(frozen=True, slots=True)
class UpdateMap:
    """A rectangle of the mapped memory has changed."""

    rect: Rect


@dataclass(frozen=True, slots=True)
class Unannounced:
    """An update outside of the known picture.

    QEMU announces a new size only with an update of the whole picture, and never updates the whole
    of a text mode that it sends as bytes. A new listener receives the size.
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
    """The cursor's position, and whether the guest draws it."""

    x: int
    y: int
    visible: bool


@dataclass(frozen=True, slots=True, eq=False)
class Mistake:
    """QEMU sent a message that was rejected; the connection continues."""

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
