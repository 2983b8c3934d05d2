"""What both sides of a surface share: modes, marks, changes, states, and its size in memory.

A `Producer` fills a surface and never knows who looks. A `Consumer` remembers one `Mark`
and asks what changed since; that is all the state there is between them. Both work on any
buffer that holds the format of ``include/kju/surface.h``, a ``bytearray`` included, without
descriptors, clocks or loops; each has a module of its own.
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

# Measured at 1920x1080 (docs, Benchmarks): 16 makes the question what changed cost 10 us
# rather than 6, 64 makes a text cursor damage 16384 pixels rather than 4096.
TILE_SIDE = 32
MAX_SIDE = 16384


class State(IntEnum):
    """What the producer says of the surface."""

    LIVE = 1
    PAUSED = 2
    UNAVAILABLE = 3
    SUPERSEDED = 4
    GONE = 5
    CLOSED = 6


class Mode(NamedTuple):
    """The geometry of one epoch: pixels, and bytes per row. Epoch 0 is no mode yet."""

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
    """Where a consumer stands: everything up to `version` of this epoch is taken."""

    incarnation: int
    epoch: int
    version: int


NOTHING_TAKEN = Mark(0, 0, 0)


class Change(NamedTuple):
    """What changed since a mark.

    Attributes:
        mark: What to remember once the pixels are taken.
        mode: The mode the rectangles belong to.
        rects: Rectangles that do not overlap, whole tiles cut to the mode.
        everything: The mark was of another incarnation or epoch: all pixels are new.
    """

    mark: Mark
    mode: Mode
    rects: list[Rect]
    everything: bool


set_types(Rect, Mode, Mark, Change)


class Identity(NamedTuple):
    """The process that publishes, as its consumers may look for it.

    Attributes:
        pid: 0 is unknown.
        start_time: Clock ticks since boot, so that a pid used again is not taken for it.
        namespace: Inode of the pid namespace in which *pid* counts.
        locks: It holds a record lock on the surface's file as long as it lives.
    """

    pid: int
    start_time: int
    namespace: int
    locks: bool


class Cursor(NamedTuple):
    """The guest's cursor; `x` and `y` are the hot spot's place and may lie outside.

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
    """Bytes of memory that a surface for *capacity* bytes of pixels needs.

    Raises:
        GeometryError: No surface can have this layout.
    """
    return plan(capacity, tile, max_side, max_side)


def bytes_of(buffer: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401
    """View a buffer as its bytes, without a copy."""
    # NumPy's types know neither buffers in general nor memory of another extension
    return np.frombuffer(buffer, np.uint8)


def pixel_array(memory: npt.NDArray[np.uint8], offset: int, mode: Mode) -> npt.NDArray[np.uint8]:
    """View the pixels of *mode* that begin *offset* bytes into *memory*, without a copy."""
    size = BYTES_PER_PIXEL.get(mode.fourcc, 1)
    shape: tuple[int, ...] = (mode.height, mode.width)
    steps: tuple[int, ...] = (mode.stride, size)
    if size > 1:
        shape, steps = (*shape, size), (*steps, 1)
    return np.ndarray(shape, np.uint8, memory.data, offset, steps)
