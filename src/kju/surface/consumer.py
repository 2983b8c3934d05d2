"""The side that looks at a surface, over any readable buffer.

Rules the consumer obeys, in this order:

1. It reads the version, then the tiles, then the pixels, then the epoch again.
2. It commits the version that it read first, never a tile's.
3. A mark counts only within its incarnation and epoch; on a difference it takes all.
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
from .model import Change, Cursor, Identity, Mark, Mode, State, bytes_of, pixel_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from .model import AnyBuffer

# A mode lasts far longer than one look takes; this many changes in a row is a hostile memory.
_TABLE_TRIES = 64


class Consumer:
    """The side that looks, over any readable buffer; holds no state but the checked header.

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
        """The mode now.

        Raises:
            FormatError: What the memory says cannot be.
        """
        return Mode(*self.reader.mode())

    @property
    def producer(self) -> Identity:
        """Who published; a hint, checked by nobody."""
        r = self.reader
        locks = bool(r.producer_locks)
        return Identity(r.producer_pid, r.producer_start, r.producer_namespace, locks)

    @property
    def state(self) -> tuple[State, str]:
        """What the producer says, and its reason.

        Raises:
            FormatError: The memory holds no known state.
        """
        code, reason = self.reader.state()
        try:
            return State(code), reason
        except ValueError:
            raise FormatError(f"the surface's state is {code}", code, "1 to 6") from None

    def changes(self, since: Mark) -> Change:
        """What changed since *since*; an empty list of rectangles is nothing.

        Raises:
            FormatError: What the memory says cannot be.
        """
        return self.reader.changes(since.version, self.epoch_of(since))

    def epoch_of(self, mark: Mark) -> int:
        """The mark's epoch, as this incarnation counts: 0 for a mark of another."""
        return mark.epoch if mark.incarnation == self.incarnation else 0

    def view(self, mode: Mode) -> npt.NDArray[np.uint8]:
        """The published pixels of *mode* without a copy, read-only."""
        if self._viewed is None or self._viewed[0] != mode:
            array = pixel_array(self._bytes, self.reader.pixels_offset, mode)
            array.flags.writeable = False
            self._viewed = mode, array
        return self._viewed[1]

    def live_view(self, mode: Mode, window: AnyBuffer) -> npt.NDArray[np.uint8] | None:
        """The live window of *mode* without a copy, read-only; None where it is not there.

        Args:
            mode: As just read.
            window: The memory that the window lies in.
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
        """The guest's cursor, copied.

        Raises:
            FormatError: The cursor is half written, or larger than one can be.
        """
        version, visible, x, y, hot_x, hot_y, width, height, argb = self.reader.cursor()
        shape = np.frombuffer(argb, np.uint8).reshape(height, width, 4)
        return Cursor(version, bool(visible), x, y, hot_x, hot_y, shape)

    def tile_versions(self) -> npt.NDArray[np.uint64]:
        """The tile table, ``(rows, columns)``.

        Raises:
            FormatError: What the memory says cannot be.
            InconsistentError: The mode never stopped changing.
        """
        for _ in range(_TABLE_TRIES):
            epoch = self.reader.epoch
            table = np.frombuffer(self.reader.tile_versions(), np.uint64)
            mode = self.mode
            if mode.epoch == epoch:
                columns = -(-mode.width // self.tile_side) if epoch else 0
                return table.reshape(-1, columns) if columns else table.reshape(0, 0)
        raise InconsistentError(f"the mode changed during each of {_TABLE_TRIES} looks")

    def raise_unless_live(self) -> None:
        """Raise what the state says, unless there is a picture and more may come.

        Raises:
            ProducerGoneError: The producer has closed the surface or ended.
            SupersededError: A larger surface has taken its place.
            UnavailableError: There is no picture now.
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


# What the reader's copy returns where the live window is not in the memory that was given.
_NO_WINDOW = -3


class Copy(NamedTuple):
    """A finished copy: what it shows."""

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
    """Copy a rectangle of the surface, again when the mode changes under it.

    Args:
        consumer: Where from.
        rect: Pixels; None is all of whatever the mode is.
        pixel_format: One of `CHANNELS`.
        exact: Exactly one published version, or nothing.
        allocate: Gives a writable C-contiguous uint8 array of a shape.
        tries: Copies before giving up.
        window: Copy from the live window in this memory, not from the published pixels.

    Returns:
        None where there is no live window in that memory.

    Raises:
        UnavailableError: The surface has no mode yet.
        GeometryError: *rect* leaves the surface.
        InconsistentError: The producer was in the way *tries* times.
    """
    for _ in range(tries):
        mode = consumer.mode
        if not mode.epoch:
            raise UnavailableError("nothing has been published yet")
        where = rect or mode.whole
        if where.width < 0 or where.height < 0 or not mode.whole.contains(where):
            raise GeometryError(f"{where} leaves the {mode.width}x{mode.height} surface")
        out = allocate(frame_shape(mode, where, pixel_format))
        version = consumer.reader.copy(out, mode.epoch, where, pixel_format, exact, window)
        if version >= 0:
            return Copy(out, mode, version)
        if version == _NO_WINDOW:
            return None
    raise InconsistentError(f"the producer wrote during each of {tries} copies")


def frame_shape(mode: Mode, rect: Rect, pixel_format: PixelFormat) -> tuple[int, ...]:
    """The shape of a frame: one-byte surfaces and grey have no third axis."""
    if mode.fourcc == R8 or pixel_format == "grey":
        return rect.height, rect.width
    return rect.height, rect.width, CHANNELS[pixel_format]


def next_wait(now: float, deadline: float | None) -> int | None:
    """Milliseconds to sleep before the next look, or None: the time is over.

    Args:
        now: Seconds on any clock.
        deadline: Seconds on the same clock; None never ends.
    """
    if deadline is None:
        return WAIT_CAP_MS
    left = deadline - now
    return min(WAIT_CAP_MS, max(1, int(left * 1000))) if left > 0 else None


def blend_cursor(frame: npt.NDArray[np.uint8], rect: Rect, cursor: Cursor) -> None:
    """Draw the cursor into a B G R X copy of *rect*, where it is visible."""
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
