"""A machine's surface: goes on where the machine does, and looks into the guest's own memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MemoryLostError, ProducerGoneError, UnavailableError
from ..surface import State
from ..surface.consumer import Consumer, Copy, copy_frame
from ..surface.formats import PixelFormat
from ..surface.geometry import Area, Rect
from .base import TRIES, SurfaceBase, cut
from .frame import Frame, make_frame

if TYPE_CHECKING:
    from ..memory._system import Mapping

LOST = "the guest's video memory was cut by another process: the machine cannot go on"


class Following(SurfaceBase):
    """A surface of a machine: goes on in the one that replaces it, ends with the machine.

    In a mode with a live window the guest's own pixels may be newer than the published ones. A
    client with the control role reads them; for others the host publishes first.
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
        # Nothing follows the surface of a machine that has ended: do not wait for it.
        if reason := self._origin.ends_here:
            raise ProducerGoneError(reason)
        return super()._replaced(seen)

    def view(self, rect: Area | None = None, *, live: bool = False) -> Frame:
        """View the published pixels, or the guest's own, without copying.

        Args:
            rect: Pixels, origin top left; everything by default.
            live: The guest's own memory, where it draws: nothing is fresher, and it may be half
                drawn. Needs the control role, since who has that memory can write it.

        Returns:
            Shape ``(rect.height, rect.width, 4)``, read-only, B G R X. It stays valid after a
            mode change, when it shows whatever the guest has there then.

        Raises:
            GeometryError: *rect* leaves the surface.
            UnavailableError: Nothing has been published yet; or this mode has no live window,
                which only linear 32-bit modes of shared video memory have.
            RoleError: This client only views, and *live* was asked for.
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
            cut(pixels, mode, rect), self._reference, self.incarnation, mode, version, live=True
        )

    def _live_memory(self) -> Mapping:
        """The memory that live windows lie in, the same for the machine's life."""
        if self._window is None:
            self._window = self._origin.window()
        return self._window

    def _window_to_copy(self) -> Mapping | None:
        """The memory to take a copy from; None where the host is to publish instead."""
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

    def _copy(self, rect: Rect | None, pixel_format: PixelFormat, exact: bool) -> Copy:
        consumer = self._consumer
        if not consumer.reader.live_number:
            return super()._copy(rect, pixel_format, exact)
        window = self._window_to_copy() if not exact else None
        if window is not None:
            allocate = self._pool.allocate
            copy = copy_frame(consumer, rect, pixel_format, False, allocate, TRIES, window)
            if window.lost:
                raise MemoryLostError(LOST)
            if copy is not None:
                return copy
        elif not exact:
            self._origin.refresh()
        return super()._copy(rect, pixel_format, exact)
