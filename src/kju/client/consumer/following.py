"""The surface of a machine: it follows replacements, and reads the guest's own video memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import MemoryLostError, ProducerGoneError, UnavailableError
from ...surface import State
from ...surface.consumer import Consumer, Copy, copy_frame
from ...surface.formats import PixelFormat
from ...surface.geometry import Area, Rect
from .base import TRIES, SurfaceBase
from .frame import Allocate, Frame, crop, make_frame

if TYPE_CHECKING:
    from ...memory._system import Mapping

_LOST = "another process has truncated the guest's video memory: the machine cannot go on"


class Following(SurfaceBase):
    """A surface of a machine: it continues in the surface that replaces it, until the machine ends.

    In a mode with a live window the guest's own pixels may be newer than the published ones. A
    client with the control role reads them; for another client the host publishes them first
    (`_must_publish`).
    """

    _window: Mapping | None = None
    #: True once the host has refused the live window: it publishes instead.
    _windowless = False

    def _open(self) -> Consumer:
        consumer = super()._open()
        if consumer.reader.state_code == State.SUPERSEDED:
            self._replaced(consumer)
        return self._consumer

    def _replaced(self, seen: Consumer) -> bool:
        # No surface follows that of a machine that has ended: do not wait for one.
        if reason := self._origin.ends_here:
            raise ProducerGoneError(reason)
        # The memory of the live window belongs to the emulator, which may be another one now.
        self._window = None
        return super()._replaced(seen)

    def view(self, rect: Area | None = None, *, live: bool = False) -> Frame:
        """Return the published pixels, or the guest's own, without a copy.

        Args:
            rect: Area in pixels, origin top left; the whole screen by default.
            live: Return the guest's video memory itself. Its pixels are the newest, and may be
                half drawn. This needs the control role, as the memory can be written, too.

        Returns:
            Shape ``(rect.height, rect.width, 4)``, read-only, B G R X. It stays valid after a mode
            change, and shows then the bytes that the guest has there.

        Raises:
            GeometryError: *rect* leaves the surface.
            UnavailableError: Nothing has been published yet; or this mode has no live window. Only
                linear 32-bit modes of shared video memory have one.
            RoleError: *live* is true, and this client has the view role.
            ClosedError: This process has closed the surface.
        """
        if not live:
            return super().view(rect)
        consumer = self._open()
        version, mode = consumer.reader.version, consumer.mode
        pixels = consumer.live_view(mode, self._live_memory()) if mode.epoch else None
        if pixels is None:
            raise UnavailableError("this mode of the guest has no live window: leave out live=True")
        return make_frame(
            crop(pixels, mode, rect), self._reference, self.incarnation, mode, version, live=True
        )

    def _live_memory(self) -> Mapping:
        """Return the memory of live windows, which is the same until the surface is replaced."""
        if self._window is None:
            self._window = self._origin.window()
        return self._window

    def _window_to_copy(self) -> Mapping | None:
        """Return the memory to copy from; None where the host must publish instead."""
        if self._windowless or not self._origin.looks_live:
            return None
        try:
            return self._live_memory()
        except UnavailableError:
            self._windowless = True
            return None

    def _must_publish(self) -> bool:
        """Check whether only the host can see pixels that are newer than the published ones."""
        return bool(self._open().reader.live_number) and self._window_to_copy() is None

    def _copy(
        self, rect: Rect | None, pixel_format: PixelFormat, exact: bool, allocate: Allocate
    ) -> Copy:
        consumer = self._consumer
        if not consumer.reader.live_number:
            return super()._copy(rect, pixel_format, exact, allocate)
        window = self._window_to_copy() if not exact else None
        if window is not None:
            copy = copy_frame(consumer, rect, pixel_format, False, allocate, TRIES, window)
            if window.lost:
                raise MemoryLostError(_LOST)
            if copy is not None:
                return copy
        return super()._copy(rect, pixel_format, exact, allocate)
