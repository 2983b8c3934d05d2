"""The producer's side of a surface, over any writable buffer; each publication has a version."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Self

from ._core import Writer, format_surface
from .formats import BYTES_PER_PIXEL, XR24
from .geometry import Rect
from .layout import REASON_SIZE
from .model import MAX_SIDE, TILE_SIDE, Mode, ProducerIdentity, State, bytes_of, pixel_array

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from .model import AnyBuffer


class Producer(Writer):
    """Fills a surface; it never waits for, counts or knows its consumers.

    Every call is safe from any thread. Publications follow each other.
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
        identity: ProducerIdentity | None = None,
        on_mode: Callable[[], object] | None = None,
    ) -> Self:
        """Format a surface in zeroed memory and return its producer.

        Args:
            buffer: Writable, 8-byte aligned, `surface_size` bytes or more.
            capacity: Bytes of pixels of the largest mode.
            incarnation: Random 64 bits, new for each producer.
            tile: Side of a tile, pixels, a power of two from 8 to 256.
            max_side: Widest and highest mode, pixels.
            identity: The process of the producer: a hint for consumers.
            on_mode: Called after each change of the mode, in the thread that made it.

        Raises:
            GeometryError: *buffer* is too small or the layout is impossible.
        """
        who = identity or ProducerIdentity(0, 0, 0, False)
        format_surface(buffer, capacity, tile, max_side, max_side, incarnation, *who)
        producer = cls(buffer)
        producer._on_mode = on_mode
        return producer

    def __init__(self, buffer: AnyBuffer) -> None:
        self._bytes = bytes_of(buffer)
        self._on_mode: Callable[[], object] | None = None

    @property
    def mode(self) -> Mode:
        """The mode last set; epoch 0 before the first."""
        return Mode(*self.mode_tuple)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The published pixels, writable: ``(height, width, 4)`` or ``(height, width)``.

        Call `publish` after writing to them, and `begin` before, for consumers that copy exactly
        one version. The array belongs to one mode.
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
        """Publish a new mode together with its whole picture; returns the version.

        Args:
            width: Pixels.
            height: Pixels.
            fourcc: ``XR24`` or ``R8``.
            source: The picture; None is black.
            offset: Bytes to the source's first pixel.
            stride: Bytes per source row; 0 means no padding.
            source_format: A name of `kju.surface.formats.SourceFormat`; the surface's by default.

        Raises:
            GeometryError: The mode does not fit, or the source is too small; nothing changes.
            LimitError: The memory cannot hold its pixels; nothing changes.
            FormatError: kju has no converter for the source's format.
        """
        wanted = width * height * BYTES_PER_PIXEL.get(fourcc, 4)
        if width > 0 and height > 0 and wanted <= self.capacity:
            self._make_room(wanted)
        version = self._set_mode(width, height, fourcc, source, offset, stride, source_format or "")
        self._published()
        if self._on_mode is not None:
            self._on_mode()
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
        """Copy a source into a rectangle; its first pixel is the origin. Returns the version.

        Raises:
            GeometryError: *rect* leaves the mode, or the source is too small.
            FormatError: kju has no converter for the source's format.
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
        """Compare a whole frame with the published pixels; publish the differences.

        Args:
            source: A frame of the current mode; it may change meanwhile.
            offset: Bytes to the source's first pixel.
            stride: Bytes per source row; 0 means no padding.
            rects: The part to compare, rounded out to tiles; everything by default.
            source_format: A name of `kju.surface.formats.SourceFormat`; the surface's by default.

        Returns:
            The number of published tiles.

        Raises:
            GeometryError: No mode yet, a rectangle leaves it, or the source is too small.
            FormatError: kju has no converter for the source's format.
        """
        changed = self._compare(source, offset, stride, rects, source_format or "")
        self._published()
        return changed

    def scan(
        self,
        source: AnyBuffer,
        now: int,
        *,
        offset: int = 0,
        stride: int = 0,
        source_format: str | None = None,
    ) -> tuple[int, int]:
        """Compare the due parts of a source that announces no changes; publish the differences.

        ``csrc/scan.h`` defines which parts are due, and when. Call `set_scan_pace` once before.

        Args:
            source: A frame of the current mode; it may change meanwhile.
            now: Nanoseconds of any monotonic clock.
            offset: Bytes to the source's first pixel.
            stride: Bytes per source row; 0 means no padding.
            source_format: A name of `kju.surface.formats.SourceFormat`; the surface's by default.

        Returns:
            The time of the next call, on the same clock, and the number of published tiles.

        Raises:
            GeometryError: No mode yet, or the source is too small.
            FormatError: kju has no converter for the source's format.
        """
        result = self._scan(source, offset, stride, source_format or "", now)
        if result[1]:
            self._published()
        return result

    def scan_until(
        self,
        source: AnyBuffer,
        *,
        until: int,
        budget: int,
        longest: int = (1 << 63) - 1,
        offset: int = 0,
        stride: int = 0,
        source_format: str | None = None,
    ) -> tuple[int, int]:
        """Scan repeatedly, each time it is due, without the interpreter's lock.

        Times are of `time.monotonic_ns`. It returns after the first scan that publishes something,
        when the next one is due after *until*, and soon after `interrupt`.

        Args:
            source: As for `scan`.
            until: When to return; 0 is after one scan.
            budget: The next scan begins at least this many times this one's CPU time after it.
            longest: Nanoseconds: the budget never asks for a longer time, unless that would leave
                no pause at all.
            offset: As for `scan`.
            stride: As for `scan`.
            source_format: As for `scan`.

        Returns:
            The time of the next call, and the number of published tiles.

        Raises:
            GeometryError: As `scan`.
            FormatError: As `scan`.
        """
        result = self._scan_until(
            source, offset, stride, source_format or "", until, budget, longest
        )
        if result[1]:
            self._published()
        return result

    def publish(
        self, rects: Iterable[tuple[int, int, int, int]] | tuple[int, int, int, int], /
    ) -> int:
        """Publish rectangles that were drawn in `pixels`; returns the version.

        Raises:
            GeometryError: A rectangle leaves the mode; nothing is published.
        """
        version = super().publish(rects)
        self._published()
        return version

    def publish_range(self, start: int, length: int, /) -> int:
        """Publish bytes that were written in `pixels`; returns the version.

        Raises:
            GeometryError: The range leaves the pixels; nothing is published.
        """
        version = super().publish_range(start, length)
        self._published()
        return version

    def _make_room(self, size: int) -> None:
        """Allocate *size* bytes of pixels before they are written; owners of memory override it."""

    def _published(self) -> None:
        """Check the memory after each publication; owners of memory override it."""

    def set_state(self, state: State, reason: str = "") -> None:
        """Publish the state of the surface and its reason; wakes every consumer."""
        cut = reason.replace("\0", " ").encode(errors="replace")[: REASON_SIZE - 1]
        self._set_state(state, cut.decode(errors="ignore"))
