"""The part of a consumer that does not wait, for both halves of the API.

A wait is a loop around `SurfaceBase._check`, which returns a change or the milliseconds to sleep.
`kju.Surface` sleeps on the futex, `kju.aio.Surface` in the event loop.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Self, TypeVar

from ...errors import (
    ClosedError,
    FormatError,
    InconsistentError,
    KjuError,
    ProducerGoneError,
    SupersededError,
    UnavailableError,
    UsageError,
    WaitTimeoutError,
)
from ...memory import SharedMemory, SurfaceProducer, open_fd
from ...surface import MAX_SIDE, NOTHING_TAKEN, Change, Cursor, Mark, Mode, State
from ...surface.consumer import Consumer, Copy, blend_cursor, copy_frame, next_wait
from ...surface.formats import CHANNELS, R8, PixelFormat, fourcc_name
from ...surface.geometry import Area, Rect, as_rect
from ...surface.thumbnail import copy_thumbnail
from ..link import seconds_of
from .frame import (
    Allocate,
    Frame,
    FramePool,
    FrameSource,
    as_thumbnail,
    convert,
    crop,
    make_frame,
    only_memory,
)
from .origin import AddressOrigin, Origin

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# The pause of a copy that the producer has disturbed: a full frame of 1920x1080 takes the producer
# one to three milliseconds.
_RETRY_SECONDS = 0.0003
_EXACT_SECONDS = 1.0
# Attempts during each of which the mode changed: a hostile memory, not a guest.
TRIES = 64
# Milliseconds between two searches for the successor of a dead producer.
_FOLLOW_MS = 50

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _checks_memory(
    method: Callable[Concatenate[SurfaceBase, _P], _R],
) -> Callable[Concatenate[SurfaceBase, _P], _R]:
    """Check the memory after a call, which may have read zeros from a hole in the file."""

    @wraps(method)
    def checked(self: SurfaceBase, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
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
            self._memory.check()
            raise
        self._memory.check()
        return result

    return checked


class SurfaceBase:
    """One surface, opened read-only.

    Pixels are read from shared memory, never through another process. All methods may be called
    from any thread. Where others can truncate the memory (a file), the call that notices it raises
    `MemoryLostError`.

    Args:
        address: A path, ``posix:/NAME``, ``sysv:ID`` or ``fd:NUMBER``.
        follow: After the producer's end, or when a larger surface replaces this one, wait for the
            next surface at the same address, and report all of it as changed.

    Raises:
        FormatError: The memory is not a surface that this kju can read.
        OSError: The memory can't be opened.
    """

    def __init__(self, address: str | os.PathLike[str] | Origin, *, follow: bool = False) -> None:
        if isinstance(address, (str, os.PathLike)):
            address = AddressOrigin(address, follow=follow)
        self._origin: Origin = address
        self._closed = False
        self._reference: weakref.ReferenceType[FrameSource] = weakref.ref(self)
        self._pool = FramePool()
        self._replacing = threading.Lock()
        self._memory = self._origin.reopen()
        self._consumer = self._consume(self._memory)

    @classmethod
    def from_fd(cls, number: int) -> Self:
        """Open a surface by a descriptor, and take ownership of the descriptor.

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
        """Create a surface and return its producer: see `kju.memory.SurfaceProducer.create`."""
        return SurfaceProducer.create(address, capacity=capacity, tile=tile, max_side=max_side)

    # ---- Properties

    @property
    def default_timeout(self) -> float | None:
        """Seconds of a wait without *timeout*; None for no limit. At first 30.

        The screens of a machine share the machine's.
        """
        return self._origin.default_timeout

    @default_timeout.setter
    def default_timeout(self, seconds: float | None) -> None:
        self._origin.default_timeout = seconds_of(seconds, None)

    @property
    def incarnation(self) -> int:
        """Random number of the producer's life; marks are valid only within it."""
        return self._consumer.incarnation

    @property
    @_checks_memory
    def mode(self) -> Mode:
        """Width, height and stride, fourcc and epoch; epoch 0 before the first mode.

        Raises:
            FormatError: The mode in the memory is not valid.
            ClosedError: This process has closed the surface.
        """
        return self._open().mode

    @property
    def version(self) -> int:
        """Newest published version."""
        return self._open().reader.version

    @property
    def mark(self) -> Mark:
        """The mark of the present moment: only later changes are after it."""
        reader = self._open().reader
        version = reader.version
        return Mark(self.incarnation, reader.epoch, version)

    @property
    @_checks_memory
    def state(self) -> tuple[State, str | None]:
        """The producer's state of the surface, and its reason, if it gives one."""
        state, reason = self._open().state
        return state, reason or None

    @property
    @_checks_memory
    def cursor(self) -> Cursor:
        """The guest's cursor: shape, hot spot, position, visibility."""
        return self._open().cursor()

    # ---- Pixels

    @_checks_memory
    def view(self, rect: Area | None = None) -> Frame:
        """Return the published pixels without a copy.

        The producer continues to write to them; `frame` returns a copy. This is always safe
        on sealed memory, such as a machine's screen. Where others can truncate the file, lost pages
        read as zeros, and the next call on the surface raises `MemoryLostError`.

        Args:
            rect: Area in pixels, origin top left; the whole surface by default.

        Returns:
            Shape ``(rect.height, rect.width, 4)``, read-only, B G R X, row step ``stride``
            bytes; ``(rect.height, rect.width)`` for one-byte surfaces. It stays valid after
            a mode change and after `close`; `Frame.stale` is true then.

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
        pixels = crop(consumer.view(mode), mode, rect)
        return make_frame(pixels, self._reference, self.incarnation, mode, version, live=True)

    @_checks_memory
    def _copy_frame(
        self,
        area: Area | None = None,
        *,
        pixels: PixelFormat = "bgrx",
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Copy pixels; a consistent copy may sleep for up to a second."""
        rect = None if area is None else as_rect(area)
        if pixels not in CHANNELS:
            raise UsageError(f"pixels must be one of {', '.join(CHANNELS)}, not {pixels!r}")
        consumer = self._open()
        if consumer.reader.state_code == State.UNAVAILABLE:
            consumer.raise_unless_live()
        if cursor and consumer.mode.fourcc != R8:
            copy = self._copy(rect, "bgrx", consistent, self._pool.allocate)
            blend_cursor(copy.pixels, rect or copy.mode.whole, consumer.cursor())
            copy = copy._replace(pixels=convert(copy.pixels, pixels))
        else:
            copy = self._copy(rect, pixels, consistent, self._pool.allocate)
        return make_frame(
            copy.pixels,
            self._reference,
            self.incarnation,
            copy.mode,
            copy.version,
            consistent=consistent,
        )

    def _copy(
        self, rect: Rect | None, pixel_format: PixelFormat, exact: bool, allocate: Allocate
    ) -> Copy:
        if not exact:
            return self._published(rect, pixel_format, False, TRIES, allocate)
        deadline = time.monotonic() + _EXACT_SECONDS
        while True:
            try:
                return self._published(rect, pixel_format, True, 1, allocate)
            except InconsistentError:
                if time.monotonic() < deadline:
                    time.sleep(_RETRY_SECONDS)
                elif (held := self._origin.hold()) is None:
                    raise
                else:
                    with held:
                        return self._published(rect, pixel_format, True, TRIES, allocate)

    def _published(
        self,
        rect: Rect | None,
        pixel_format: PixelFormat,
        exact: bool,
        tries: int,
        allocate: Allocate,
    ) -> Copy:
        copy = copy_frame(self._consumer, rect, pixel_format, exact, allocate, tries)
        assert copy is not None  # noqa: S101  no window was asked for
        return copy

    @_checks_memory
    def copy_into(
        self, out: npt.NDArray[np.uint8], rect: Area | None = None, *, pixels: PixelFormat = "rgb"
    ) -> Frame:
        """Copy pixels as `frame` does, into memory of the caller.

        Args:
            out: Shape ``(height, width, 3)`` for ``rgb``, as of `frame`; writable and C-contiguous.
            rect: Area in pixels; the whole surface by default.
            pixels: Order of the channels.

        Returns:
            *out* as a frame.

        Raises:
            GeometryError: The picture has another size than *out*, or *rect* leaves the surface.
            UsageError: *out* cannot be written.
            UnavailableError: There is no picture; the message is the producer's reason.
        """
        consumer = self._open()
        if consumer.reader.state_code == State.UNAVAILABLE:
            consumer.raise_unless_live()
        where = None if rect is None else as_rect(rect)
        copy = self._copy(where, pixels, False, only_memory(out))
        return make_frame(copy.pixels, self._reference, self.incarnation, copy.mode, copy.version)

    @_checks_memory
    def thumbnail(self, max_width: int, max_height: int, last: Frame | None = None) -> Frame:
        """Return the published pixels made smaller, in their proportions; never larger.

        Each pixel is the exact average of the area that it covers.

        Args:
            max_width: The most pixels of a row.
            max_height: The most rows.
            last: The thumbnail before: only the parts that have changed since are computed.

        Returns:
            Shape ``(height, width, 4)``, B G R X with X = 255, or ``(height, width)`` for one-byte
            surfaces; read-only. *last* itself if nothing has changed.

        Raises:
            GeometryError: A side is below 1.
            UnavailableError: The picture is missing; the message is the producer's reason.
            MemoryLostError: The file of the surface was truncated.
        """
        consumer = self._open()
        if consumer.reader.state_code == State.UNAVAILABLE:
            consumer.raise_unless_live()
        before = as_thumbnail(last)
        made = copy_thumbnail(consumer, max_width, max_height, before, TRIES)
        if made is before and last is not None:
            return last
        pixels, mode, mark = made
        return make_frame(pixels, self._reference, mark.incarnation, mode, mark.version)

    # ---- Changes

    @_checks_memory
    def changes_since(self, mark: Mark = NOTHING_TAKEN) -> Change:
        """Return the changes since a mark, without waiting; no rectangles if nothing changed.

        Raises:
            ClosedError: This process has closed the surface.
            MemoryLostError: The file of the surface was truncated.
        """
        return self._open().changes(mark)

    def _check(self, mark: Mark, deadline: float | None, timeout: float | None) -> Change | int:
        """Return the changes after *mark*, or the milliseconds to sleep before the next call.

        Args:
            mark: The mark of the newest change that has been taken.
            deadline: As of `deadline_of`.
            timeout: Seconds, for the message of the error.
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
        """Return the changes; raise if there are none and no more can follow."""
        try:
            change = self.changes_since(mark)
        except FormatError:
            self._raise_if_gone()  # killed in the middle of a mode change: the better reason
            raise
        if change.rects:
            return change
        try:
            self._raise_if_gone()
        except ProducerGoneError:
            # It may have published once more between the two checks, and ended then.
            change = self.changes_since(mark)
            if not change.rects:
                raise
        return change

    def _raise_if_gone(self) -> None:
        consumer = self._consumer
        self._raise_if_ended(consumer)
        try:
            reason = self._origin.end_reason(consumer.producer, self._memory)
        except (OSError, ValueError):
            self._open()  # raises if another thread has closed it meanwhile
            raise
        if reason is not None:
            # The producer may have closed the surface between the two checks.
            self._raise_if_ended(consumer)
            raise ProducerGoneError(reason)

    @staticmethod
    def _raise_if_ended(consumer: Consumer) -> None:
        if consumer.reader.state_code not in (State.LIVE, State.PAUSED, State.UNAVAILABLE):
            consumer.raise_unless_live()

    def _replaced(self, seen: Consumer) -> bool:
        """Open the successor of the surface that a caller has seen; False if there is none yet."""
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
            old, self._memory, self._consumer = self._memory, segment, consumer
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
        """Close the surface. Frames stay valid; `Frame.stale` is true then."""
        if not self._closed:
            self._closed = True
            self._memory.close()

    def _open(self) -> Consumer:
        if self._closed:
            raise ClosedError("this surface has been closed here")
        mapping = self._memory.mapping
        if mapping.guarded and mapping.lost:
            self._memory.check()
        return self._consumer

    def __repr__(self) -> str:
        where = self._memory.address or "memfd"
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


def touches(change: Change, region: Area | None) -> bool:
    """Check whether a change touches a region."""
    if region is None or change.everything:
        return True
    where = as_rect(region)
    return any(rect.intersection(where) for rect in change.rects)


def _sleep_or_raise(
    deadline: float | None, timeout: float | None, cause: KjuError | None = None
) -> int:
    """Return the milliseconds to sleep before the next check.

    Raises:
        WaitTimeoutError: The deadline has passed.
    """
    milliseconds = next_wait(time.monotonic(), deadline)
    if milliseconds is None:
        raise WaitTimeoutError(f"nothing changed on the surface within {timeout:g} s") from cause
    return milliseconds
