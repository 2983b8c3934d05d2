"""Surfaces over buffers, in C. Private: `producer` and `consumer` are the API."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy.typing as npt
from typing_extensions import Buffer as _Buffer

from .geometry import Rect
from .model import Change, Mark, Mode

Buffer: TypeAlias = _Buffer | npt.NDArray[Any]

WAIT_CAP_MS: int
CURSOR_SIDE: int

def set_types(
    rect: type[Rect], mode: type[Mode], mark: type[Mark], change: type[Change], /
) -> None: ...
def plan(capacity: int, tile: int, max_width: int, max_height: int, /) -> int: ...
def format_surface(
    buffer: Buffer,
    capacity: int,
    tile: int,
    max_width: int,
    max_height: int,
    incarnation: int,
    pid: int,
    start: int,
    namespace: int,
    locks: int,
    /,
) -> None: ...
def thumbnail(picture: Buffer, out: Buffer, part: tuple[int, int, int, int], /) -> None: ...

class Reader:
    version: int
    pulse: int
    epoch: int
    cursor_version: int
    live_number: int
    state_code: int
    incarnation: int
    size: int
    pixels_offset: int
    pixels_capacity: int
    producer_start: int
    producer_namespace: int
    producer_pid: int
    producer_locks: int
    tile_side: int
    def __init__(self, buffer: Buffer, /) -> None: ...
    def mode(self) -> tuple[int, int, int, int, int]: ...
    def changes(self, since: int, epoch: int, /) -> Change: ...
    def copy(
        self,
        out: Buffer,
        epoch: int,
        rect: tuple[int, int, int, int],
        pixel_format: str,
        exact: bool,
        window: Buffer | None = None,
        /,
    ) -> int: ...
    def thumbnail(
        self, out: Buffer, width: int, height: int, epoch: int, part: tuple[int, int, int, int], /
    ) -> int: ...
    def live(self) -> tuple[int, int, int, int]: ...
    def wait(self, version: int, cursor_version: int, state: int, timeout_ms: int, /) -> bool: ...
    def wait_changes(
        self, since: int, epoch: int, version: int, state: int, timeout_ms: int, /
    ) -> Change | None: ...
    def state(self) -> tuple[int, str]: ...
    def cursor(self) -> tuple[int, int, int, int, int, int, int, int, bytes]: ...
    def tile_versions(self) -> bytes: ...

class Writer:
    mode_tuple: tuple[int, int, int, int, int]
    version: int
    tile_side: int
    incarnation: int
    capacity: int
    pixels_offset: int
    def __init__(self, buffer: Buffer, /) -> None: ...
    def begin(self) -> None: ...
    def hold(self) -> bool: ...
    def unhold(self) -> None: ...
    def publish(
        self, rects: Iterable[tuple[int, int, int, int]] | tuple[int, int, int, int], /
    ) -> int: ...
    def publish_range(self, start: int, length: int, /) -> int: ...
    def set_cursor(
        self, argb: Buffer, width: int, height: int, hot_x: int, hot_y: int, /
    ) -> int: ...
    def move_cursor(self, x: int, y: int, visible: bool, /) -> int: ...
    def _set_mode(
        self,
        width: int,
        height: int,
        fourcc: int,
        source: Buffer | None,
        offset: int,
        stride: int,
        source_format: str,
        /,
    ) -> int: ...
    def _draw(
        self,
        rect: tuple[int, int, int, int],
        source: Buffer,
        offset: int,
        stride: int,
        source_format: str,
        /,
    ) -> int: ...
    def _compare(
        self,
        source: Buffer,
        offset: int,
        stride: int,
        rects: Iterable[tuple[int, int, int, int]] | None,
        source_format: str,
        /,
    ) -> int: ...
    def _scan(
        self, source: Buffer, offset: int, stride: int, source_format: str, now: int, /
    ) -> tuple[int, int]: ...
    def _scan_until(
        self,
        source: Buffer,
        offset: int,
        stride: int,
        source_format: str,
        until: int,
        budget: int,
        longest: int,
        /,
    ) -> tuple[int, int]: ...
    def interrupt(self) -> None: ...
    def set_scan_pace(
        self, rest: int, brisk: int, hot: int, cold: int, share: int, answer: int, /
    ) -> None: ...
    def note_input(self, now: int, /) -> None: ...
    def set_live(self, offset: int, stride: int, /) -> None: ...
    def _set_state(self, state: int, reason: str, /) -> int: ...

class Block(_Buffer):
    def __buffer__(self, flags: int, /) -> memoryview: ...

class Pool:
    def take(self, size: int, /) -> Block: ...
