"""The consumer's side of a surface, over any readable buffer.

The consumer follows these rules, in this order:

1. Read the version, then the tiles, then the pixels, then the epoch again.
2. Commit the version that was read first, never the version of a tile.
3. A mark is valid only within its incarnation and epoch. With another one, take all pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import (
    FormatError,
    GeometryError,
    InconsistentError,
    ProducerGoneError,
    SupersededError,
    UnavailableError,
)
from ._core import WAIT_CAP_MS, Reader
from .formats import BYTES_PER_PIXEL, CHANNELS, R8, PixelFormat
from .geometry import Rect
from .model import Change, Cursor, Mark, Mode, ProducerIdentity, State, bytes_of, pixel_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from .model import AnyBuffer

# A mode lasts far longer than one reading; this many changes in a row mean hostile memory.
_TABLE_TRIES = 64


class Consumer:
    """Reads a surface in any readable buffer; its only state is the checked header.

    Raises:
        FormatError: The buffer does not hold a surface that this kju can read.
    """

    def __init__(self, buffer: AnyBuffer) -> None:
        self.reader: Reader = Reader(buffer)
        self.incarnation: int = self.reader.incarnation
        self.tile_side: int = self.reader.tile_side
        self._bytes = bytes_of(buffer)
        self._viewed: tuple[Mode, npt.NDArray[np.uint8]] | None = None

    @property
    def mode(self) -> Mode:
        """The current mode.

        Raises:
            FormatError: The mode in the memory is not valid.
        """
        return Mode(*self.reader.mode())

    @property
    def producer(self) -> ProducerIdentity:
        """The identity of the producer: an unchecked hint."""
        r = self.reader
        locks = bool(r.producer_locks)
        return ProducerIdentity(r.producer_pid, r.producer_start, r.producer_namespace, locks)

    @property
    def state(self) -> tuple[State, str]:
        """The state of the surface, and its reason.

        Raises:
            FormatError: The state in the memory is unknown.
        """
        code, reason = self.reader.state()
        try:
            return State(code), reason
        except ValueError:
            raise FormatError(f"the surface's state is {code}", code, "1 to 6") from None

    def changes(self, since: Mark) -> Change:
        """Return the change since a mark; without rectangles nothing has changed.

        Raises:
            FormatError: The mode or the tiles in the memory are not valid.
        """
        return self.reader.changes(since.version, self.epoch_of(since))

    def epoch_of(self, mark: Mark) -> int:
        """Return the epoch of a mark; 0 for a mark of another incarnation."""
        return mark.epoch if mark.incarnation == self.incarnation else 0

    def view(self, mode: Mode) -> npt.NDArray[np.uint8]:
        """Return a read-only view of the published pixels of *mode*."""
        if self._viewed is None or self._viewed[0] != mode:
            array = pixel_array(self._bytes, self.reader.pixels_offset, mode)
            array.flags.writeable = False
            self._viewed = mode, array
        return self._viewed[1]

    def live_view(self, mode: Mode, window: AnyBuffer) -> npt.NDArray[np.uint8] | None:
        """Return a read-only view of the live window of *mode*; None if it has none.

        Args:
            mode: The mode as just read.
            window: The memory that contains the live window.
        """
        number, offset, stride, epoch = self.reader.live()
        row = mode.width * BYTES_PER_PIXEL[mode.fourcc]
        end = offset + stride * (mode.height - 1) + row
        memory = bytes_of(window)
        if not number or epoch != mode.epoch or stride < row or end > memory.nbytes:
            return None
        array = pixel_array(memory, offset, mode._replace(stride=stride))
        array.flags.writeable = False
        return array

    def cursor(self) -> Cursor:
        """Return a copy of the guest's cursor.

        Raises:
            FormatError: The cursor is half written, or larger than allowed.
        """
        version, visible, x, y, hot_x, hot_y, width, height, argb = self.reader.cursor()
        shape = np.frombuffer(argb, np.uint8).reshape(height, width, 4)
        return Cursor(version, bool(visible), x, y, hot_x, hot_y, shape)

    def tile_versions(self) -> npt.NDArray[np.uint64]:
        """Return the tile table, ``(rows, columns)``.

        Raises:
            FormatError: The mode in the memory is not valid.
            InconsistentError: The mode changed during each attempt.
        """
        for _ in range(_TABLE_TRIES):
            epoch = self.reader.epoch
            table = np.frombuffer(self.reader.tile_versions(), np.uint64)
            mode = self.mode
            if mode.epoch == epoch:
                columns = -(-mode.width // self.tile_side) if epoch else 0
                return table.reshape(-1, columns) if columns else table.reshape(0, 0)
        raise InconsistentError(f"the mode changed during each of {_TABLE_TRIES} readings")

    def raise_unless_live(self) -> None:
        """Check that the surface has a picture and that the producer is alive.

        Raises:
            ProducerGoneError: The producer has closed the surface or ended.
            SupersededError: A larger surface has replaced this one.
            UnavailableError: The surface has no picture now.
        """
        if self.reader.state_code in (State.LIVE, State.PAUSED):
            return
        state, reason = self.state
        if state == State.SUPERSEDED:
            raise SupersededError("a larger surface has replaced this one: open it again")
        if state == State.CLOSED:
            raise ProducerGoneError("the producer has closed the surface")
        if state == State.GONE:
            raise ProducerGoneError(reason or "the producer has ended")
        if state == State.UNAVAILABLE:
            raise UnavailableError(reason or "the surface has no picture now")


# `Reader.copy` returns this if the given memory does not contain the live window.
_NO_WINDOW = -3


class Copy(NamedTuple):
    """A finished copy, with its mode and version."""

    pixels: npt.NDArray[np.uint8]
    mode: Mode
    version: int


def copy_frame(
    consumer: Consumer,
    rect: Rect | None,
    pixel_format: PixelFormat,
    exact: bool,
    allocate: Callable[[tuple[int, ...]], npt.NDArray[np.uint8]],
    tries: int,
    window: AnyBuffer | None = None,
) -> Copy | None:
    """Copy a rectangle of the surface; repeat if the mode changes meanwhile.

    Args:
        consumer: The surface.
        rect: Pixels; None is the whole picture.
        pixel_format: One of `CHANNELS`.
        exact: Copy exactly one published version.
        allocate: Returns a writable C-contiguous uint8 array of a shape.
        tries: Copies before giving up.
        window: Copy from the live window in this memory instead of the published pixels.

    Returns:
        The copy; None if that memory does not contain the live window.

    Raises:
        UnavailableError: The surface has no mode yet.
        GeometryError: *rect* leaves the surface.
        InconsistentError: The producer wrote during each of *tries* copies.
    """
    for _ in range(tries):
        mode = consumer.mode
        if not mode.epoch:
            raise UnavailableError("nothing has been published yet")
        where = rect or mode.whole
        if where.width < 0 or where.height < 0 or not mode.whole.contains(where):
            raise GeometryError(f"{where} leaves the {mode.width}x{mode.height} surface")
        out = allocate(_frame_shape(mode, where, pixel_format))
        version = consumer.reader.copy(out, mode.epoch, where, pixel_format, exact, window)
        if version >= 0:
            return Copy(out, mode, version)
        if version == _NO_WINDOW:
            return None
    raise InconsistentError(f"the producer wrote during each of {tries} copies")


def _frame_shape(mode: Mode, rect: Rect, pixel_format: PixelFormat) -> tuple[int, ...]:
    """Return the shape of a frame; one-byte surfaces and grey have no third axis."""
    if mode.fourcc == R8 or pixel_format == "grey":
        return rect.height, rect.width
    return rect.height, rect.width, CHANNELS[pixel_format]


def next_wait(now: float, deadline: float | None) -> int | None:
    """Return the milliseconds to sleep before the next check; None after the deadline.

    Args:
        now: Seconds on any clock.
        deadline: Seconds on the same clock; None: no limit.
    """
    if deadline is None:
        return WAIT_CAP_MS
    left = deadline - now
    return min(WAIT_CAP_MS, max(1, int(left * 1000))) if left > 0 else None


def blend_cursor(frame: npt.NDArray[np.uint8], rect: Rect, cursor: Cursor) -> None:
    """Draw the cursor into a B G R X copy of *rect*, if it is visible there."""
    height, width = cursor.shape.shape[:2]
    left, top = cursor.x - cursor.hot_x, cursor.y - cursor.hot_y
    if not cursor.visible or not width or not height:
        return
    part = Rect(left, top, width, height).intersection(rect)
    if part is None:
        return
    shape = cursor.shape[part.y - top : part.bottom - top, part.x - left : part.right - left]
    target = frame[part.y - rect.y : part.bottom - rect.y, part.x - rect.x : part.right - rect.x]
    alpha = shape[..., 3:].astype(np.uint16)
    mixed = shape[..., :3] * alpha + target[..., :3] * (255 - alpha)
    target[..., :3] = (mixed + 127) // 255
