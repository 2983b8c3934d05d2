"""Surfaces over buffers: the rule of versions, without descriptors, clocks or loops.

A `Producer` fills a surface and never knows who looks. A `Consumer` remembers one `Mark`
and asks what changed since; that is all the state there is between them. Both work on any
buffer that holds the format of ``include/kju/surface.h``, a ``bytearray`` included.

Rules the consumer obeys, in this order:

1. It reads the version, then the tiles, then the pixels, then the epoch again.
2. It commits the version that it read first, never a tile's.
3. A mark counts only within its incarnation and epoch; on a difference it takes all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from ._core import WAIT_CAP_MS, Reader, Writer, format_surface, plan, set_types
from .errors import (
    FormatError,
    GeometryError,
    InconsistentError,
    ProducerGoneError,
    SupersededError,
    UnavailableError,
)
from .formats import BYTES_PER_PIXEL, R8, XR24
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

REASON_BYTES = 128
# A mode lasts far longer than one look takes; this many changes in a row is a hostile memory.
_TABLE_TRIES = 64

CHANNELS = {"bgrx": 4, "rgb": 3, "rgba": 4, "grey": 1}


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


class Producer(Writer):
    """The side that fills a surface; never waits for, counts or knows its consumers.

    Every call is safe from any thread; publications are one after another.
    """

    @classmethod
    def format(
        cls,
        buffer: AnyBuffer,
        capacity: int,
        *,
        incarnation: int,
        tile: int = TILE_SIDE,
        max_side: int = MAX_SIDE,
        identity: Identity | None = None,
    ) -> Self:
        """Make a surface in zeroed memory and return its producer.

        Args:
            buffer: Writable, 8-byte aligned, `surface_size` bytes or more.
            capacity: Bytes of pixels it must have room for.
            incarnation: Random 64 bits, new for every life of a producer.
            tile: Side of a tile, pixels, a power of two from 8 to 256.
            max_side: Widest and highest mode, pixels.
            identity: The process that publishes: a hint for consumers.

        Raises:
            GeometryError: *buffer* is too small or the layout is impossible.
        """
        who = identity or Identity(0, 0, 0, False)
        format_surface(buffer, capacity, tile, max_side, max_side, incarnation, *who)
        return cls(buffer)

    def __init__(self, buffer: AnyBuffer) -> None:
        self._bytes = _bytes_of(buffer)

    @property
    def mode(self) -> Mode:
        """The mode last set; epoch 0 before the first."""
        return Mode(*self.mode_tuple)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The published pixels, writable: ``(height, width, 4)`` or ``(height, width)``.

        What is written here is announced by `publish`; call `begin` first where consumers
        may want exactly one version. The array belongs to one mode.
        """
        return _pixel_array(self._bytes, self.pixels_offset, self.mode)

    def set_mode(
        self,
        width: int,
        height: int,
        *,
        fourcc: int = XR24,
        source: AnyBuffer | None = None,
        offset: int = 0,
        stride: int = 0,
        source_format: str | None = None,
    ) -> int:
        """Publish a new mode with its whole picture in one step; returns the version.

        Args:
            width: Pixels.
            height: Pixels.
            fourcc: ``XR24`` or ``R8``.
            source: The picture, or None for black.
            offset: Bytes to the source's first pixel.
            stride: Bytes per source row; 0 is rows without padding.
            source_format: A name of `kju.formats.SourceFormat`; as the surface by default.

        Raises:
            GeometryError: The mode does not fit, or the source is too small; nothing changes.
            LimitError: There is no space for its pixels; nothing changes.
            FormatError: There is no converter for the source's format.
        """
        wanted = width * height * BYTES_PER_PIXEL.get(fourcc, 4)
        if width > 0 and height > 0 and wanted <= self.capacity:
            self._make_room(wanted)
        version = self._set_mode(width, height, fourcc, source, offset, stride, source_format or "")
        self._published()
        return version

    def draw(
        self,
        rect: Rect,
        source: AnyBuffer,
        *,
        offset: int = 0,
        stride: int = 0,
        source_format: str | None = None,
    ) -> int:
        """Copy a source whose first pixel is the rectangle's origin; returns the version.

        Raises:
            GeometryError: *rect* leaves the mode, or the source is too small.
            FormatError: There is no converter for the source's format.
        """
        version = self._draw(rect, source, offset, stride, source_format or "")
        self._published()
        return version

    def compare(
        self,
        source: AnyBuffer,
        *,
        offset: int = 0,
        stride: int = 0,
        rects: Iterable[Rect] | None = None,
        source_format: str | None = None,
    ) -> int:
        """Compare a whole frame with what is published; copy and publish what differs.

        Args:
            source: A frame of the current mode; it may change meanwhile.
            offset: Bytes to the source's first pixel.
            stride: Bytes per source row; 0 is rows without padding.
            rects: Where to look, rounded out to tiles; everywhere by default.
            source_format: A name of `kju.formats.SourceFormat`; as the surface by default.

        Returns:
            The number of tiles published; 0 published nothing.

        Raises:
            GeometryError: No mode yet, a rectangle leaves it, or the source is too small.
            FormatError: There is no converter for the source's format.
        """
        changed = self._compare(source, offset, stride, rects, source_format or "")
        self._published()
        return changed

    def watch(
        self,
        source: AnyBuffer,
        now: int,
        *,
        offset: int = 0,
        stride: int = 0,
        source_format: str | None = None,
    ) -> tuple[int, int]:
        """Look at what is due of a source that announces nothing, and publish what differs.

        What is due, and when, is in ``csrc/watch.h``; `watch_pace` sets it, once, first.

        Args:
            source: A frame of the current mode; it may change meanwhile.
            now: Nanoseconds, of any clock that only grows.
            offset: Bytes to the source's first pixel.
            stride: Bytes per source row; 0 is rows without padding.
            source_format: A name of `kju.formats.SourceFormat`; as the surface by default.

        Returns:
            When to call again, on the same clock, and how many tiles were published.

        Raises:
            GeometryError: No mode yet, or the source is too small.
            FormatError: There is no converter for the source's format.
        """
        result = self._watch(source, offset, stride, source_format or "", now)
        if result[1]:
            self._published()
        return result

    def publish(
        self, rects: Iterable[tuple[int, int, int, int]] | tuple[int, int, int, int], /
    ) -> int:
        """Announce rectangles that were drawn in `pixels`; returns the version.

        Raises:
            GeometryError: A rectangle leaves the mode; nothing is announced.
        """
        version = super().publish(rects)
        self._published()
        return version

    def publish_range(self, start: int, length: int, /) -> int:
        """Announce bytes that were written in `pixels`; returns the version.

        Raises:
            GeometryError: The range leaves the pixels; nothing is announced.
        """
        version = super().publish_range(start, length)
        self._published()
        return version

    def _make_room(self, size: int) -> None:
        """Called before *size* bytes of pixels are written: they must not fail to be there."""

    def _published(self) -> None:
        """Called after each publication: whoever owns the memory looks after it here."""

    def set_state(self, state: State, reason: str = "") -> None:
        """Say what the surface is, and why; wakes every consumer."""
        cut = reason.replace("\0", " ").encode(errors="replace")[: REASON_BYTES - 1]
        self._set_state(state, cut.decode(errors="ignore"))


class Consumer:
    """The side that looks, over any readable buffer; holds no state but the checked header.

    Raises:
        FormatError: The buffer does not hold a surface that this kju can read.
    """

    def __init__(self, buffer: AnyBuffer) -> None:
        self.reader: Reader = Reader(buffer)
        self.incarnation: int = self.reader.incarnation
        self.tile_side: int = self.reader.tile_side
        self._bytes = _bytes_of(buffer)

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
        array = _pixel_array(self._bytes, self.reader.pixels_offset, mode)
        array.flags.writeable = False
        return array

    def live_view(self, mode: Mode, window: AnyBuffer) -> npt.NDArray[np.uint8] | None:
        """The live window of *mode* without a copy, read-only; None where it is not there.

        Args:
            mode: As just read.
            window: The memory that the window lies in.
        """
        number, offset, stride, epoch = self.reader.live()
        row = mode.width * BYTES_PER_PIXEL[mode.fourcc]
        end = offset + stride * (mode.height - 1) + row
        memory = _bytes_of(window)
        if not number or epoch != mode.epoch or stride < row or end > memory.nbytes:
            return None
        array = _pixel_array(memory, offset, mode._replace(stride=stride))
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
    pixel_format: str,
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


def frame_shape(mode: Mode, rect: Rect, pixel_format: str) -> tuple[int, ...]:
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


def _bytes_of(buffer: Any) -> npt.NDArray[np.uint8]:  # noqa: ANN401
    # NumPy's types know neither buffers in general nor memory of another extension
    return np.frombuffer(buffer, np.uint8)


def _pixel_array(memory: npt.NDArray[np.uint8], offset: int, mode: Mode) -> npt.NDArray[np.uint8]:
    size = BYTES_PER_PIXEL.get(mode.fourcc, 1)
    shape: tuple[int, ...] = (mode.height, mode.width)
    steps: tuple[int, ...] = (mode.stride, size)
    if size > 1:
        shape, steps = (*shape, size), (*steps, 1)
    return np.ndarray(shape, np.uint8, memory.data, offset, steps)
