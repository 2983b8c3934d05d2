"""A machine's surface: goes on where the machine does, and looks into the guest's own memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import MemoryLostError, ProducerGoneError, UnavailableError
from ..memory import open_fd
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

    Where it says that it has a live window, the guest's own pixels may be ahead of what is
    published: `use_live` says how this client gets at the newest.
    """

    _ask_window: Callable[[], int] | None = None
    _catch_up: Callable[[], int] | None = None
    _publish: Callable[[], int] | None = None
    _window: Mapping | None = None

    def _open(self) -> Consumer:
        consumer = super()._open()
        if consumer.reader.state_code == State.SUPERSEDED:
            self._replaced(consumer)
        return self._consumer

    def _replaced(self, seen: Consumer) -> bool:
        # Nothing follows the surface of a machine that has ended: do not wait for it.
        if self._gone is not None and (reason := self._gone()):
            raise ProducerGoneError(reason)
        return super()._replaced(seen)

    def use_live(
        self,
        window: Callable[[], int],
        catch_up: Callable[[], int] | None = None,
        publish: Callable[[], int] | None = None,
    ) -> None:
        """Say how to get at what is not published yet.

        Args:
            window: Asks the host for the memory of the live window.
            catch_up: Has the host publish, in place of looking there.
            publish: The same, for a window that cannot be handed out.
        """
        self._ask_window, self._catch_up, self._publish = window, catch_up, publish

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
        return make_frame(cut(pixels, mode, rect), self, mode, version, live=True)

    def _live_memory(self) -> Mapping:
        """The memory that live windows lie in, the same for the machine's life."""
        if self._window is None:
            if self._ask_window is None:
                raise UnavailableError("this surface has no live window")
            self._window = open_fd(self._ask_window()).mapping
        return self._window

    def _window_to_copy(self) -> Mapping | None:
        """The memory to take a copy from; None where the host is to publish instead."""
        if self._catch_up is not None or self._ask_window is None:
            return None
        try:
            return self._live_memory()
        except UnavailableError:
            self._catch_up = self._publish
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
        elif self._catch_up is not None:
            self._catch_up()
        return super()._copy(rect, pixel_format, exact)
