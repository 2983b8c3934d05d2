"""A surface for programs with threads: waits sleep on the surface's futex."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import IO, Self

from ..errors import FormatError
from ..surface import NOTHING_TAKEN, Change, Mark, State
from ..surface.consumer import next_wait
from ..surface.formats import PixelFormat
from ..surface.geometry import Area
from .base import SurfaceBase, touches
from .frame import Frame
from .timeouts import DEFAULT_TIMEOUT, Timeout, deadline_of, seconds_of, seconds_to
from .waits import Waits

_LIVE = (State.LIVE.value, State.PAUSED.value)


class Surface(Waits):
    """One surface, opened read-only: see `SurfaceBase`."""

    __doc__ = SurfaceBase.__doc__

    def frame(
        self,
        rect: Area | None = None,
        *,
        pixels: PixelFormat = "rgb",
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Copy the published pixels, each tile in its newest version.

        A host publishes a change as soon as QEMU reports it; `Screen.refresh` waits for that.

        Args:
            rect: Area in pixels, origin top left; the whole surface by default.
            pixels: Order of the channels: ``rgb``, ``rgba``, ``bgrx`` (as in memory) or ``grey``.
            consistent: Copy exactly one published version. The copy is repeated until the
                producer did not write meanwhile, for at most a second; then the producer is
                paused, if it can be.
            cursor: Draw the guest's cursor into the copy.

        Returns:
            Shape ``(height, width, 3)`` for ``rgb``, 4 channels for ``rgba`` and ``bgrx``,
            ``(height, width)`` for ``grey`` and for one-byte surfaces. C-contiguous; the array
            owns its memory.

        Raises:
            GeometryError: *rect* is not inside the surface.
            UnavailableError: There is no picture; the message is the producer's reason.
            InconsistentError: The producer never stopped writing.
            MemoryLostError: The file below was truncated.
            ClosedError: This process has closed the surface.
        """
        return self._copy_frame(rect, pixels=pixels, consistent=consistent, cursor=cursor)

    def screenshot(
        self,
        path: str | os.PathLike[str] | IO[bytes],
        rect: Area | None = None,
        *,
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Write the pixels to a picture file, and return the frame that was written.

        Args:
            path: The file's path, or an open binary file. The extension chooses one of Pillow's
                formats; PNG without an extension and for an open file.
            rect: Area in pixels; the whole surface by default.
            consistent: As for `frame`.
            cursor: Draw the guest's cursor into the picture.

        Returns:
            The RGB frame.

        Raises:
            FileError: The file can't be written; an old file is unchanged.
            UsageError: Pillow cannot write this format.
            UnavailableError: There is no picture.
        """
        frame = self.frame(rect, consistent=consistent, cursor=cursor)
        self._write_picture(path, frame)
        return frame

    def wait(self, since: Mark | None = None, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Change:
        """Sleep until pixels change; other threads run meanwhile.

        Args:
            since: The mark of the newest change that has been taken; by default, now.
            timeout: Seconds; None for no limit. The default is `default_timeout`.

        Returns:
            The changes since the mark.

        Raises:
            WaitTimeoutError: Nothing changed.
            ProducerGoneError: The producer closed the surface or died. This is noticed within a
                second.
            MemoryLostError: The file below was truncated.
        """
        mark = self.mark if since is None else since
        seconds = seconds_of(timeout, self.default_timeout)
        deadline = deadline_of(seconds)
        change = self._sleep(mark, deadline)
        if change is not None:
            return change
        while True:
            reader = self._consumer.reader
            version, state = reader.version, reader.state_code
            looked = self._look(mark, deadline, seconds)
            if isinstance(looked, Change):
                return looked
            mapping, reader = self._segment.mapping, self._consumer.reader
            epoch = self._consumer.epoch_of(mark)
            try:
                # From here to the return is what a woken program waits for: its caches are
                # cold, and every name that is looked up or let go costs a microsecond.
                change = reader.wait_changes(mark.version, epoch, version, state, looked)
            except FormatError:
                continue  # the next look finds out what became of the memory
            if change is not None and not mapping.lost:
                return change  # the file's size is looked at when the next wait begins

    def _sleep(self, mark: Mark, deadline: float | None) -> Change | None:
        """Sleep without a look before, as most waits can: somebody lives and nothing is lost.

        What such a look would have found is found when this has returned None, half a second
        later at most. Of fifty viewers of one screen each saves a quarter of its time.
        """
        consumer = self._consumer
        reader, state = consumer.reader, consumer.reader.state_code
        milliseconds = next_wait(time.monotonic(), deadline)
        if (
            milliseconds is None
            or state not in _LIVE
            or mark.incarnation != consumer.incarnation
            or self._segment.mapping.guarded
            or self.closed
        ):
            return None
        try:
            return reader.wait_changes(mark.version, mark.epoch, mark.version, state, milliseconds)
        except FormatError:
            return None

    def changes(self, since: Mark = NOTHING_TAKEN, *, timeout: Timeout = None) -> Iterator[Change]:
        """Yield changes without end: first the whole surface, then the damage since the last.

        A slow consumer gets fewer and larger changes, never a queue of old ones.

        Args:
            since: The mark to start at; by default nothing has been taken yet.
            timeout: Seconds between two changes; None, the default, for no limit: a guest whose
                screen does not change is not an error.

        Raises:
            WaitTimeoutError: Nothing changed for *timeout* seconds.
            ProducerGoneError: The producer closed the surface or died.
            MemoryLostError: The file below was cut.
        """
        while True:
            change = self.wait(since, timeout=timeout)
            yield change
            since = change.mark

    def wait_news(self, mark: Mark, cursor: int, state: State, *, seconds: float) -> bool:
        """Sleep until the pixels, the cursor or the state change; for viewers, which show all.

        Args:
            mark: The mark of the pixels that are shown.
            cursor: `Cursor.version` of the cursor that is shown.
            state: The state that is shown.
            seconds: Return after this time in any case.

        Returns:
            True after a change; also, at most half a second late, when another surface has
            replaced this one. False when the time is over.

        Raises:
            ClosedError: This process has closed the surface.
        """
        deadline = deadline_of(seconds)
        while True:
            consumer = self._open()
            reader = consumer.reader
            if consumer.incarnation != mark.incarnation or reader.epoch != mark.epoch:
                return True
            milliseconds = next_wait(time.monotonic(), deadline)
            if milliseconds is None:
                return False
            if reader.wait(mark.version, cursor, state, milliseconds):
                return True

    def after(
        self, mark: Mark, *, region: Area | None = None, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Change:
        """Wait for the first published change after an input.

        The guest's reaction is recognised by its pixels only. A blinking cursor changes pixels
        too, so give the region in which the reaction is expected.

        Args:
            mark: The mark that the input returned, or any other.
            region: Area in pixels; a change elsewhere does not count. The whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.

        Returns:
            The changes since the mark or, if those were outside the region, since a later mark.

        Raises:
            As `wait`.
        """
        deadline = deadline_of(seconds_of(timeout, self.default_timeout))
        while True:
            change = self.wait(mark, timeout=seconds_to(deadline))
            if touches(change, region):
                return change
            mark = change.mark

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
