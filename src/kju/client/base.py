"""What a consumer can do with a surface without waiting, for threads and for asyncio.

A wait is a loop around one look, which returns what changed or how many milliseconds to
sleep. `kju.Surface` sleeps on the futex, `kju.aio.Surface` in the event loop; neither has
rules of its own.
"""

from __future__ import annotations

import io
import os
import threading
import time
import weakref
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

from ..errors import (
    ClosedError,
    FormatError,
    GeometryError,
    InconsistentError,
    KjuError,
    ProducerGoneError,
    SupersededError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
)
from ..files import write_output
from ..memory import SharedMemory, SurfaceProducer, open_fd
from ..surface import MAX_SIDE, NOTHING_TAKEN, Change, Cursor, Mark, Mode, State
from ..surface.consumer import Consumer, Copy, blend_cursor, copy_frame, next_wait
from ..surface.formats import CHANNELS, R8, PixelFormat, fourcc_name
from ..surface.geometry import Area, Rect, as_rect
from .frame import Frame, FramePool, FrameSource, convert, make_frame
from .origin import AddressOrigin, Origin
from .timeouts import seconds_of

if TYPE_CHECKING:
    from .witness import Witness

# A copy that met the producer waits this long before it tries again: a full frame at
# 1920x1080 takes the producer one to three milliseconds.
_RETRY_SECONDS = 0.0003
_EXACT_SECONDS = 1.0
# Looks during each of which the mode changed: a hostile memory, not a guest.
TRIES = 64

# How often a consumer that follows looks for what comes after a producer that has gone.
_FOLLOW_MS = 50

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _notices_loss(
    method: Callable[Concatenate[SurfaceBase, _P], _R],
) -> Callable[Concatenate[SurfaceBase, _P], _R]:
    """Look at the memory after a call: what it read may have been zeros in a hole."""

    @wraps(method)
    def looked(self: SurfaceBase, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        seen = self._consumer
        try:
            return once(self, *args, **kwargs)
        except SupersededError:
            if not self._origin.follows or not self._replaced(seen):
                raise
        return once(self, *args, **kwargs)

    def once(self: SurfaceBase, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            result = method(self, *args, **kwargs)
        except (FormatError, UnavailableError):
            self._segment.check()
            raise
        self._segment.check()
        return result

    return looked


class SurfaceBase:
    """One surface, opened read-only.

    Reading pixels never passes through another process. Everything may be used from any
    thread. A surface on memory that others may cut (a file) raises `MemoryLostError` from
    the call that noticed.

    Args:
        address: A path, ``posix:/NAME``, ``sysv:ID`` or ``fd:NUMBER``.
        follow: When the producer has gone or a larger surface has replaced this one, wait
            for a new one at the same address instead of raising, and take everything.

    Raises:
        FormatError: There is no surface that this kju can read.
        OSError: It can't be opened.
    """

    #: Called after every wait for this surface, on the waiting thread.
    _witnesses: tuple[Witness, ...] = ()

    def __init__(self, address: str | os.PathLike[str] | Origin, *, follow: bool = False) -> None:
        if isinstance(address, (str, os.PathLike)):
            address = AddressOrigin(address, follow=follow)
        self._origin: Origin = address
        self._closed = False
        self._reference: weakref.ReferenceType[FrameSource] = weakref.ref(self)
        self._pool = FramePool()
        self._replacing = threading.Lock()
        self._segment = self._origin.reopen()
        self._consumer = self._consume(self._segment)

    @classmethod
    def from_fd(cls, number: int) -> Self:
        """Open a surface by a descriptor, which is taken over.

        Raises:
            FormatError: The memory is not a surface that this kju can read.
        """
        return cls(AddressOrigin(f"fd:{number}", segment=open_fd(number)))

    @staticmethod
    def _consume(segment: SharedMemory) -> Consumer:
        try:
            consumer = Consumer(segment.mapping)
            segment.check()
        except KjuError:
            segment.close()
            raise
        return consumer

    @staticmethod
    def create(
        address: str | os.PathLike[str], *, capacity: int, tile: int = 32, max_side: int = MAX_SIDE
    ) -> SurfaceProducer:
        """Make a surface and fill it: see `kju.memory.SurfaceProducer.create`."""
        return SurfaceProducer.create(address, capacity=capacity, tile=tile, max_side=max_side)

    # ---- What it is

    @property
    def default_timeout(self) -> float | None:
        """Seconds that a wait may take if it is given no timeout; None for no limit. 30 at first.

        A machine's screens share the machine's.
        """
        return self._origin.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._origin.default_timeout = seconds_of(seconds, None)

    @property
    def incarnation(self) -> int:
        """Random number of the producer's life; marks count only within it."""
        return self._consumer.incarnation

    @property
    @_notices_loss
    def mode(self) -> Mode:
        """Width, height and stride, fourcc and epoch; epoch 0 before the first mode.

        Raises:
            FormatError: What the memory says cannot be.
            ClosedError: This process has closed the surface.
        """
        return self._open().mode

    @property
    def version(self) -> int:
        """Newest published version."""
        return self._open().reader.version

    @property
    def mark(self) -> Mark:
        """A mark after which only what changes from now on is new."""
        reader = self._open().reader
        version = reader.version
        return Mark(self.incarnation, reader.epoch, version)

    @property
    @_notices_loss
    def state(self) -> tuple[State, str]:
        """What the producer says of the surface, and its reason."""
        return self._open().state

    @property
    @_notices_loss
    def cursor(self) -> Cursor:
        """The guest's cursor: shape, hot spot, place, visibility."""
        return self._open().cursor()

    # ---- Pixels

    @_notices_loss
    def view(self, rect: Area | None = None) -> Frame:
        """View the published pixels without copying.

        The producer may write while you look; `frame` gives pixels that hold still.
        Promised safe on sealed memory, which is what a machine's screen is. Where others
        may cut the file, lost pages read as zeros and the next call on the surface raises
        `MemoryLostError`.

        Args:
            rect: Pixels, origin top left; everything by default.

        Returns:
            Shape ``(rect.height, rect.width, 4)``, read-only, B G R X, row step ``stride``
            bytes; ``(rect.height, rect.width)`` for one-byte surfaces. It stays valid after
            a mode change and after `close`; `Frame.stale` says so.

        Raises:
            GeometryError: *rect* leaves the surface.
            UnavailableError: Nothing has been published yet.
            ClosedError: This process has closed the surface.

        Source:
            ``include/kju/surface.h``.
        """
        consumer = self._open()
        version, mode = consumer.reader.version, consumer.mode
        if not mode.epoch:
            raise UnavailableError("nothing has been published yet")
        pixels = cut(consumer.view(mode), mode, rect)
        return make_frame(pixels, self._reference, self.incarnation, mode, version, live=True)

    @_notices_loss
    def _copy_frame(
        self,
        area: Area | None = None,
        *,
        pixels: PixelFormat = "bgrx",
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Copy pixels; a consistent copy may sleep, up to a second."""
        rect = None if area is None else as_rect(area)
        if pixels not in CHANNELS:
            raise UsageError(f"pixels is one of {', '.join(CHANNELS)}, not {pixels!r}")
        consumer = self._open()
        if consumer.reader.state_code == State.UNAVAILABLE:
            consumer.raise_unless_live()
        if cursor and consumer.mode.fourcc != R8:
            copy = self._copy(rect, "bgrx", consistent)
            blend_cursor(copy.pixels, rect or copy.mode.whole, consumer.cursor())
            copy = copy._replace(pixels=convert(copy.pixels, pixels))
        else:
            copy = self._copy(rect, pixels, consistent)
        return make_frame(
            copy.pixels,
            self._reference,
            self.incarnation,
            copy.mode,
            copy.version,
            consistent=consistent,
        )

    def _copy(self, rect: Rect | None, pixel_format: PixelFormat, exact: bool) -> Copy:
        if not exact:
            return self._published(rect, pixel_format, False, TRIES)
        deadline = time.monotonic() + _EXACT_SECONDS
        while True:
            try:
                return self._published(rect, pixel_format, True, 1)
            except InconsistentError:
                if time.monotonic() < deadline:
                    time.sleep(_RETRY_SECONDS)
                elif (held := self._origin.hold()) is None:
                    raise
                else:
                    with held:
                        return self._published(rect, pixel_format, True, TRIES)

    def _published(
        self, rect: Rect | None, pixel_format: PixelFormat, exact: bool, tries: int
    ) -> Copy:
        allocate = self._pool.allocate
        copy = copy_frame(self._consumer, rect, pixel_format, exact, allocate, tries)
        assert copy is not None  # noqa: S101  no window was asked for
        return copy

    def _write_picture(self, path: str | os.PathLike[str] | IO[bytes], frame: Frame) -> None:
        """Write an RGB or grey frame as a picture file."""
        from PIL import Image  # heavy, and most programs never write a picture

        kind = _picture_format(path) if isinstance(path, (str, os.PathLike)) else "PNG"
        image = Image.fromarray(np.asarray(frame))
        # Level 1 takes a quarter of the default's time and gives a tenth more bytes.
        options = {"compress_level": 1} if kind == "PNG" else {}
        if not isinstance(path, (str, os.PathLike)):
            image.save(path, kind, **options)
            return
        # Encode into memory first: an old file stays until the new one is complete.
        file = io.BytesIO()
        image.save(file, kind, **options)
        write_output(path, file.getvalue())

    # ---- Changes

    @_notices_loss
    def changes_since(self, mark: Mark = NOTHING_TAKEN) -> Change:
        """What changed since a mark, now; without rectangles where nothing did.

        Raises:
            ClosedError: This process has closed the surface.
            MemoryLostError: The file below was cut.
        """
        return self._open().changes(mark)

    def _look(self, mark: Mark, deadline: float | None, timeout: float | None) -> Change | int:
        """What changed after *mark*, or milliseconds to sleep before the next look.

        Args:
            mark: What has been taken.
            deadline: As of `deadline_of`.
            timeout: Seconds, for the error that says how long was waited.
        """
        while True:
            consumer = self._open()
            try:
                change = self._changes_or_gone(mark)
            except (ProducerGoneError, FormatError) as error:
                if not self._origin.follows:
                    raise
                if not self._replaced(consumer):
                    return min(_sleep_or_raise(deadline, timeout, error), _FOLLOW_MS)
            else:
                return change if change.rects else _sleep_or_raise(deadline, timeout)

    def _changes_or_gone(self, mark: Mark) -> Change:
        """What changed; raises when nothing did and nothing more can come."""
        try:
            change = self.changes_since(mark)
        except FormatError:
            self._raise_if_gone()  # killed in the middle of a mode: that is the reason to give
            raise
        if change.rects:
            return change
        try:
            self._raise_if_gone()
        except ProducerGoneError:
            # It may have published once more between the two looks, and gone then.
            change = self.changes_since(mark)
            if not change.rects:
                raise
        return change

    def _raise_if_gone(self) -> None:
        consumer = self._consumer
        self._raise_if_ended(consumer)
        try:
            reason = self._origin.end_reason(consumer.producer, self._segment)
        except (OSError, ValueError):
            self._open()  # another thread may have closed it meanwhile
            raise
        if reason is not None:
            # The producer may have closed the surface between the two looks.
            self._raise_if_ended(consumer)
            raise ProducerGoneError(reason)

    @staticmethod
    def _raise_if_ended(consumer: Consumer) -> None:
        if consumer.reader.state_code not in (State.LIVE, State.PAUSED, State.UNAVAILABLE):
            consumer.raise_unless_live()

    def _replaced(self, seen: Consumer) -> bool:
        """Open what follows the surface a caller has seen; False when nothing does yet."""
        with self._replacing:
            if self._consumer is not seen or self._closed:
                return True  # another thread was first
            try:
                segment = self._origin.reopen()
                consumer = self._consume(segment)
            except (OSError, KjuError):
                return False
            if consumer.incarnation == seen.incarnation:
                segment.close()
                return False
            old, self._segment, self._consumer = self._segment, segment, consumer
            old.close()
            return True

    def _shows(self, incarnation: int, epoch: int) -> bool:
        """Check whether the surface is open and still in a mode of an incarnation."""
        if self._closed or incarnation != self.incarnation:
            return False
        return self._consumer.reader.epoch == epoch

    # ---- Life

    @property
    def closed(self) -> bool:
        """True once this process has closed the surface."""
        return self._closed

    def close(self) -> None:
        """Close the surface; arrays stay valid and say that they are stale."""
        if not self._closed:
            self._closed = True
            self._segment.close()

    def _open(self) -> Consumer:
        if self._closed:
            raise ClosedError("this surface has been closed here")
        mapping = self._segment.mapping
        if mapping.guarded and mapping.lost:
            self._segment.check()
        return self._consumer

    def __repr__(self) -> str:
        where = self._segment.address or "memfd"
        if self._closed:
            return f"<{type(self).__name__} {where} closed>"
        try:
            mode = self._consumer.mode
        except FormatError:
            return f"<{type(self).__name__} {where} unreadable>"
        return (
            f"<{type(self).__name__} {where} {mode.width}x{mode.height} "
            f"{fourcc_name(mode.fourcc)} version {self._consumer.reader.version}>"
        )


def cut(pixels: np.ndarray, mode: Mode, area: Area | None) -> np.ndarray:
    """A rectangle of a picture of *mode*; all of it without one.

    Raises:
        GeometryError: *area* leaves it.
    """
    if area is None:
        return pixels
    rect = as_rect(area)
    if not mode.whole.contains(rect) or rect.width < 0 or rect.height < 0:
        raise GeometryError(f"{rect} leaves the {mode.width}x{mode.height} surface")
    return pixels[rect.y : rect.bottom, rect.x : rect.right]


def touches(change: Change, region: Area | None) -> bool:
    """Whether a change is inside a region at all."""
    if region is None or change.everything:
        return True
    where = as_rect(region)
    return any(rect.intersection(where) for rect in change.rects)


def _sleep_or_raise(
    deadline: float | None, timeout: float | None, cause: KjuError | None = None
) -> int:
    """Milliseconds to sleep before the next look.

    Raises:
        WaitTimeoutError: The time is over.
    """
    milliseconds = next_wait(time.monotonic(), deadline)
    if milliseconds is None:
        raise WaitTimeoutError(f"nothing changed on the surface within {timeout:g} s") from cause
    return milliseconds


def _picture_format(target: str | os.PathLike[str]) -> str:
    """Return Pillow's name for the format of a file name extension.

    Raises:
        UsageError: Pillow cannot write such a format.
    """
    from PIL import Image

    ending = Path(target).suffix.lower()
    if ending in ("", ".png"):
        return "PNG"
    kind = Image.registered_extensions().get(ending)
    if kind not in Image.SAVE:
        raise UsageError(f"cannot write {target}: unknown picture format {ending!r}; try .png")
    return str(kind)
