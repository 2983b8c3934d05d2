"""The data shared by both sides of a surface: modes, marks, changes, states, and sizes.

A `Producer` fills a surface and does not know its consumers. A `Consumer` remembers one `Mark` and
asks for the change since; they share no other state. Both work on any buffer in the
format of ``include/kju/surface.h``, a ``bytearray`` included, without descriptors, clocks or loops.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ._core import plan, set_types
from .formats import BYTES_PER_PIXEL
from .geometry import Rect

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    import numpy.typing as npt
    from typing_extensions import Buffer

    AnyBuffer: TypeAlias = Buffer | npt.NDArray[Any]

# Measured at 1920x1080 (docs, Benchmarks): with 16 a query for changes costs 10 us instead of 6,
# with 64 a text cursor damages 16384 pixels instead of 4096.
TILE_SIDE = 32
MAX_SIDE = 16384


class State(IntEnum):
    """The state of a surface, set by its producer."""

    LIVE = 1
    PAUSED = 2
    UNAVAILABLE = 3
    SUPERSEDED = 4
    GONE = 5
    CLOSED = 6


class Mode(NamedTuple):
    """The geometry of one epoch, in pixels; the stride in bytes. Epoch 0: no mode yet."""

    width: int
    height: int
    stride: int
    fourcc: int
    epoch: int

    @property
    def whole(self) -> Rect:
        """The whole picture as a rectangle."""
        return Rect(0, 0, self.width, self.height)


class Mark(NamedTuple):
    """The position of a consumer: it has everything up to `version` of this epoch."""

    incarnation: int
    epoch: int
    version: int


NOTHING_TAKEN = Mark(0, 0, 0)


class Change(NamedTuple):
    """The change since a mark.

    Attributes:
        mark: The consumer's next mark, once it has the pixels.
        mode: The mode of the rectangles.
        rects: Rectangles without overlap: whole tiles, cut to the mode.
        everything: All pixels are new: the mark was of another incarnation or epoch.
    """

    mark: Mark
    mode: Mode
    rects: list[Rect]
    everything: bool


set_types(Rect, Mode, Mark, Change)


class ProducerIdentity(NamedTuple):
    """The process of a producer, for its consumers.

    Attributes:
        pid: Its process id; 0 is unknown.
        start_time: Clock ticks since boot: distinguishes the process from a later one with this id.
        namespace: Inode of the pid namespace of *pid*.
        locks: Whether it holds a record lock on the surface's file while it is alive.
    """

    pid: int
    start_time: int
    namespace: int
    locks: bool


class Cursor(NamedTuple):
    """The guest's cursor; `x` and `y` are the position of the hot spot, which may be outside.

    Attributes:
        shape: ``(height, width, 4)`` uint8, B G R A, not premultiplied.
    """

    version: int
    visible: bool
    x: int
    y: int
    hot_x: int
    hot_y: int
    shape: npt.NDArray[np.uint8]


def surface_size(capacity: int, *, tile: int = TILE_SIDE, max_side: int = MAX_SIDE) -> int:
    """Return the bytes of memory of a surface for *capacity* bytes of pixels.

    Raises:
        GeometryError: The layout is not possible.
    """
    return plan(capacity, tile, max_side, max_side)


def bytes_of(buffer: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401
    """View a buffer as its bytes, without a copy."""
    # NumPy's stubs accept neither buffers in general nor memory of another extension.
    return np.frombuffer(buffer, np.uint8)


def pixel_array(memory: npt.NDArray[np.uint8], offset: int, mode: Mode) -> npt.NDArray[np.uint8]:
    """View the pixels of *mode* that begin *offset* bytes into *memory*, without a copy."""
    size = BYTES_PER_PIXEL.get(mode.fourcc, 1)
    shape: tuple[int, ...] = (mode.height, mode.width)
    steps: tuple[int, ...] = (mode.stride, size)
    if size > 1:
        shape, steps = (*shape, size), (*steps, 1)
    return np.ndarray(shape, np.uint8, memory.data, offset, steps)
