"""SHELL: the sources of a QEMU console, and the order in which they are chosen: `KINDS`.

- A 32-bit mode is read from the video memory itself (``vram``).
- Another mode is shown by screenshots at first, and a blanked screen always (``screendump``).
- A mode that lasts, and every mode of a display without shared memory, comes from a listener
  (``display1-map``, ``display1-copy``).
- For viewers that look rarely (thumbnails) screenshots show it: no listener is registered for them.

A listener costs QEMU less than screenshots, but QEMU 10.0.2 never frees a disconnected listener:
its socket stays open and still wakes QEMU (ui/dbus-listener.c: listener and connection reference
each other; 7.2 frees it). So a firmware's text and a short mode get no listener.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import NamedTuple

from ....errors import KjuError
from ....memory import SurfaceProducer
from ....sources.base import OnStatus, Phase, Source, SourceStatus
from ....sources.display1.source import Display1Source, socket_pair
from ....sources.framebuffer import FramebufferSource
from ....sources.screendump import ScreendumpSource, Screenshot
from ....surface.geometry import Place
from ...supervisor import SourceKind, SourcePolicy
from .guest_mode import GuestMode
from .vram import VideoMemory

#: Registers one end of a socket pair as a listener of a console.
RegisterListener = Callable[[int, socket.socket], Awaitable[object]]


class ConsoleParts(NamedTuple):
    """The parts of QEMU that fill one console.

    Attributes:
        number: QEMU's number of the console.
        register_listener: Registers a listener with QEMU.
        memory: The console's video memory; None if it is not shared.
        mode: The guest's mode; without a memory it has no place.
    """

    number: int
    register_listener: RegisterListener
    memory: VideoMemory | None
    mode: GuestMode


class ScreenFacts(NamedTuple):
    """The facts that decide which source fills a console.

    Attributes:
        place: The place of the visible picture in the video memory; None if it is not in it.
        lasts: Whether the picture has been outside of the memory for `LISTEN_AFTER`.
        can_dump: Whether QEMU takes screenshots of this console, and the last one succeeded.
        slow: Whether all viewers look rarely: QEMU draws for a listener 33 times a second.
    """

    place: Place | None
    lasts: bool
    can_dump: bool
    slow: bool = False


class _QemuSource(SourceKind):
    """One kind of source for a QEMU console."""

    def __init__(self, display: ConsoleParts) -> None:
        self._display = display

    @abc.abstractmethod
    def suits(self, situation: ScreenFacts) -> bool:
        """Return whether this kind may fill the console now."""

    def follow(self, situation: ScreenFacts) -> None:
        """Pass a change of the situation to the running source."""


class VramKind(_QemuSource):
    """Reads the video memory."""

    _source: FramebufferSource | None = None

    def suits(self, situation: ScreenFacts) -> bool:
        """Return whether the picture is in the video memory."""
        return situation.place is not None

    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start to compare the video memory with the published pixels."""
        memory, place = self._display.memory, self._display.mode.visible_place
        if memory is None or place is None:
            raise KjuError("the guest's picture is not in its video memory any more")
        self._source = source = FramebufferSource(memory.mapping, place, producer, on_status)
        source.start(paused=paused)
        return source

    def follow(self, situation: ScreenFacts) -> None:
        """Move the source to the picture's new place."""
        if self._source is not None and situation.place is not None:
            self._source.move(situation.place)


class ScreendumpKind(_QemuSource):
    """Takes screenshots."""

    def suits(self, situation: ScreenFacts) -> bool:
        """Return whether the picture is outside of the memory, and not for long or rarely seen."""
        short = not situation.lasts or situation.slow
        return situation.place is None and short and situation.can_dump

    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start to take screenshots."""
        memory, loop = self._display.memory, asyncio.get_running_loop()
        if memory is None:
            raise KjuError("QEMU takes no screenshot of this console")

        def take_screenshot() -> Future[Screenshot | None]:
            return asyncio.run_coroutine_threadsafe(memory.screenshot(), loop)

        source = ScreendumpSource(take_screenshot, producer, on_status)
        source.start(paused=paused)
        return source


class ListenerKind(_QemuSource):
    """Registers a listener with QEMU's D-Bus display."""

    # QEMU leaks listeners, so one runs on until the guest's mode needs none.
    stays_at_rest = True
    # QEMU updates its listeners every 30 ms.
    is_delayed = True

    def suits(self, situation: ScreenFacts) -> bool:
        """Return whether the picture is outside of the memory."""
        return situation.place is None

    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start a source and register it with QEMU."""
        if self._display.memory is not None:
            # QEMU first sends a new listener the picture that it drew last, which may be of an
            # older mode if no client has viewed the console. A screenshot makes QEMU draw.
            with contextlib.suppress(KjuError, OSError):
                await self._display.memory.screenshot()
        number = self._display.number
        ours, theirs = socket_pair()
        source = Display1Source(ours, producer, on_status, label=str(number))
        source.start(paused=paused)
        try:
            await self._display.register_listener(number, theirs)
        except BaseException:
            source.stop()
            raise
        return source


#: The kinds of source of a QEMU console; the first that suits is chosen.
KINDS: tuple[type[_QemuSource], ...] = (VramKind, ScreendumpKind, ListenerKind)


class QemuPolicy(SourcePolicy):
    """Chooses the first kind of `KINDS` that suits the situation.

    Args:
        display: The console's display.
        clock: Returns the time in seconds, on the clock of `GuestMode`.

    Attributes:
        slow: Whether all viewers look rarely.
    """

    def __init__(self, display: ConsoleParts, clock: Callable[[], float]) -> None:
        self.display = display
        self.slow = False
        self._clock = clock
        self._kinds = [kind(display) for kind in KINDS]

    def _situation(self, last: SourceStatus) -> ScreenFacts:
        """Return the situation after the source whose last status is *last*."""
        memory, mode = self.display.memory, self.display.mode
        dump_failed = last.phase is Phase.ENDED and last.name == ScreendumpSource.NAME
        can_dump = memory is not None and memory.can_dump and not dump_failed
        return ScreenFacts(mode.visible_place, mode.lasts(self._clock()), can_dump, self.slow)

    def choose(self, last: SourceStatus) -> SourceKind:
        """Return the first kind that suits."""
        situation = self._situation(last)
        return next(kind for kind in self._kinds if kind.suits(situation))

    def follow(self, kind: SourceKind | None, last: SourceStatus) -> bool:
        """Pass the situation to the running kind; return whether it still suits."""
        situation = self._situation(last)
        for each in self._kinds:
            if each is kind and each.suits(situation):
                each.follow(situation)
                return True
        return False
