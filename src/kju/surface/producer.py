"""The side that fills a surface, over any writable buffer: each publication has a version."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from ._core import Writer, format_surface
from .formats import BYTES_PER_PIXEL, XR24
from .geometry import Rect
from .layout import REASON_SIZE
from .model import MAX_SIDE, TILE_SIDE, Identity, Mode, State, bytes_of, pixel_array

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .model import AnyBuffer


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
        self._bytes = bytes_of(buffer)
        #: Called after each change of the mode, by whoever has made it, in that thread.
        self.mode_changed: Callable[[], object] | None = None

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
        return pixel_array(self._bytes, self.pixels_offset, self.mode)

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
            source_format: A name of `kju.surface.formats.SourceFormat`; as the surface by default.

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
        if self.mode_changed is not None:
            self.mode_changed()
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
            source_format: A name of `kju.surface.formats.SourceFormat`; as the surface by default.

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
            source_format: A name of `kju.surface.formats.SourceFormat`; as the surface by default.

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

    def follow(
        self,
        source: AnyBuffer,
        *,
        until: int,
        budget: int,
        offset: int = 0,
        stride: int = 0,
        source_format: str | None = None,
    ) -> tuple[int, int]:
        """Look, as `watch`, again and again when that is due, without the interpreter's lock.

        Times are of `time.monotonic_ns`. It returns after the first look that publishes something,
        when the next one is due after *until*, and soon after `interrupt`.

        Args:
            source: As for `watch`.
            until: When to return; 0 is after one look.
            budget: The next look is due after that many times this one's processor time, at least.
            offset: As for `watch`.
            stride: As for `watch`.
            source_format: As for `watch`.

        Returns:
            When to call again, and how many tiles were published.

        Raises:
            GeometryError: As `watch`.
            FormatError: As `watch`.
        """
        result = self._follow(source, offset, stride, source_format or "", until, budget)
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
        cut = reason.replace("\0", " ").encode(errors="replace")[: REASON_SIZE - 1]
        self._set_state(state, cut.decode(errors="ignore"))
