"""SHELL: the screen of a console, which its viewers share.

It is open while there are viewers, and has one encoder for each codec and size of the picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ..client.aio.link import AsyncLink
from ..client.aio.waiting import SeenSurface
from ..client.link import only_descriptor
from ..errors import KjuError, MemoryLostError, UnavailableError
from ..memory import SharedMemory, open_fd
from ..protocol.messages import Done, GetSurface, Refresh, SetRate, SurfaceHandle
from ..surface import State
from ..surface._core import WAIT_CAP_MS, Reader
from ..surface.consumer import Consumer
from ..wire.encoder import Encoders
from ..wire.reduced_picture import ReducedPicture, reduced_side

#: Seconds from the last viewer's end to the closing of the screen: a viewer may reconnect.
GRACE_TIME = 5.0
#: Seconds between two checks of a surface without a publication.
_POLL_INTERVAL = 1.0
#: The same, while the surface that replaces it does not exist yet.
_REPLACED_INTERVAL = 0.05
#: Milliseconds between two reports of the cursor, which moves more often than viewers show it.
_CURSOR_INTERVAL = 20


class ScreenOrigin(Protocol):
    """The screen to serve."""

    async def open(self, changed: Callable[[], None]) -> None:
        """Open the screen.

        Args:
            changed: Called in the event loop after each publication.

        Raises:
            KjuError: It cannot be opened.
        """

    async def set_rate(self, rate: float | None) -> None:
        """Have the screen published this often, and publish its present content.

        Args:
            rate: Looks per second; 0: nobody looks; None: the host's own pace, which is that of a
                screen without a call.

        Raises:
            KjuError: The host did not take it.
        """

    @property
    def consumer(self) -> Consumer:
        """The surface of the open screen; another object when the surface was replaced."""

    def close(self) -> None:
        """Close the screen. No effect if it is not open."""


class ConsoleOrigin:
    """One console of a machine as a `ScreenOrigin`.

    Args:
        machine: The machine's name.
        console: The console's index.
    """

    def __init__(self, machine: str, console: int) -> None:
        self._machine, self._console = machine, console
        self._rate: float | None = None
        self._link: AsyncLink | None = None
        self._segment: SharedMemory | None = None
        self._consumer: Consumer | None = None
        self._changed: Callable[[], None] = _nothing
        self._watch: PublicationWatch | None = None
        self._was_replaced = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @property
    def consumer(self) -> Consumer:
        """The surface of the console.

        Raises:
            UnavailableError: It is not open.
            MemoryLostError: Its file was truncated.
        """
        if self._consumer is None or self._segment is None:
            raise UnavailableError(f"the screen of {self._machine} is not open")
        if self._segment.mapping.guarded and self._segment.mapping.lost:
            self._segment.check()
        return self._consumer

    @property
    def screen_size(self) -> tuple[int, int] | None:
        """The size of the screen."""
        mode = self.consumer.mode
        return mode.width, mode.height

    async def open(self, changed: Callable[[], None]) -> None:
        """Open the console's surface, and call *changed* after each publication."""
        self._link = await AsyncLink.attach(self._machine, "view", "kju serve")
        try:
            await self._open_surface(self._link)
        except BaseException:
            self.close()
            raise
        self._changed = changed
        self._following = asyncio.create_task(self._follow(self._link))

    async def set_rate(self, rate: float | None) -> None:
        """State the rate to the host, also before the screen is opened."""
        self._rate = rate
        if self._link is not None:
            await self._link.ask(SetRate(console=self._console, rate=rate), Done)
            if rate != 0:
                await self._link.ask(Refresh(console=self._console, sync=False), Done)

    async def _open_surface(self, link: AsyncLink) -> None:
        """Open the present surface, in place of the one before."""
        answer = await link.call(GetSurface(console=self._console, rate=self._rate))
        segment = open_fd(only_descriptor(answer, SurfaceHandle))
        try:
            consumer = Consumer(segment.mapping)
            segment.check()
        except BaseException:
            segment.close()
            raise
        if self._consumer is not None and consumer.incarnation == self._consumer.incarnation:
            segment.close()  # the next surface does not exist yet
            return
        old, self._segment, self._consumer = self._segment, segment, consumer
        if self._watch is not None:
            self._watch.stop()
        self._watch = PublicationWatch(consumer.reader, self._report)
        if old is not None:
            old.close()

    def _report(self) -> None:
        """Report a publication at once: an input may wait for it."""
        with contextlib.suppress(UnavailableError, MemoryLostError):
            if self.consumer.reader.state_code == State.SUPERSEDED:
                self._was_replaced.set()
            self._changed()

    async def _follow(self, link: AsyncLink) -> None:
        """Open the surfaces that replace the present one, and check it now and then."""
        is_new = True
        while True:
            is_replaced = self.consumer.reader.state_code == State.SUPERSEDED
            if is_replaced:
                with contextlib.suppress(KjuError, OSError):
                    await self._open_surface(link)
            self._was_replaced.clear()
            if is_new or is_replaced:
                self._changed()
            is_new = False
            seconds = _REPLACED_INTERVAL if is_replaced else _POLL_INTERVAL
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._was_replaced.wait()

    def close(self) -> None:
        """Close the surface. No effect if it is not open."""
        if self._following is not None:
            self._following.cancel()
        if self._watch is not None:
            self._watch.stop()
        if self._segment is not None:
            self._segment.close()
        if self._link is not None:
            self._link.close()
        self._following = self._segment = self._consumer = self._link = self._watch = None
        self._changed = _nothing


def _nothing() -> None:
    """Report no change: the console is not open."""


class ScreenPicture(NamedTuple):
    """A picture of a screen: all of it, or a smaller one.

    Attributes:
        consumer: The surface.
        encoders: Its encoders.
    """

    consumer: Consumer
    encoders: Encoders


class SharedScreen:
    """A screen and its pictures.

    Args:
        origin: The screen.
        name: Its name, for errors.

    Attributes:
        rate: The rate at which it is published, as of `ScreenOrigin.set_rate`.
    """

    def __init__(self, origin: ScreenOrigin, name: str) -> None:
        self._origin, self._name = origin, name
        #: Empty while the screen is not open.
        self._pictures: dict[int, ScreenPicture] = {}
        self._lock = asyncio.Lock()
        self._unused_since: float | None = None
        self.rate: float | None = None

    async def set_rate(self, rate: float | None) -> None:
        """Have the screen published this often: see `ScreenOrigin.set_rate`."""
        async with self._lock:
            await self._origin.set_rate(rate)
            self.rate = rate

    def picture(self, max_side: int = 0) -> ScreenPicture:
        """Return the picture for a viewer: see `messages.SessionHello.max_side`.

        Raises:
            UnavailableError: The screen is not open.
        """
        if not self._pictures:
            raise UnavailableError(f"{self._name} is not open")
        side = reduced_side(max_side)
        if side not in self._pictures:
            made = ReducedPicture(self._pictures[0].consumer, side)
            self._pictures[side] = ScreenPicture(made.consumer, made.encoders)
        return self._pictures[side]

    async def open(self, changed: Callable[[], None]) -> None:
        """Open the screen. No effect if it is open.

        Raises:
            KjuError: It cannot be opened.
        """
        async with self._lock:
            if not self._pictures:
                await self._origin.open(changed)
                self._begin(self._origin.consumer)

    def _begin(self, consumer: Consumer) -> None:
        """Show another surface."""
        self._pictures = {0: ScreenPicture(consumer, Encoders(consumer))}

    def follow_replacement(self) -> bool:
        """Change to the surface that has replaced the present one; return whether one has."""
        if not self._pictures or (consumer := self._origin.consumer) is self._pictures[0].consumer:
            return False
        self._begin(consumer)
        return True

    def is_unused(self, now: float, *, has_viewers: bool) -> bool:
        """Return whether the screen had no viewers for `GRACE_TIME`."""
        if has_viewers:
            self._unused_since = None
        elif self._unused_since is None:
            self._unused_since = now
        return self._unused_since is not None and now > self._unused_since + GRACE_TIME

    def use(self) -> None:
        """Restart `GRACE_TIME`: a viewer has connected."""
        self._unused_since = None

    def close(self) -> None:
        """Close the screen."""
        self._origin.close()
        self._pictures.clear()


class PublicationWatch:
    """A thread that sleeps until a surface has other pixels, another state or another cursor.

    It lasts until `stop`: to start a thread takes longer than to encode a typed letter.
    Publications that follow each other faster than the loop runs are reported once.

    Args:
        reader: The surface. Its memory stays valid as long as the thread uses it.
        report: Called in the present event loop after a publication.
    """

    def __init__(self, reader: Reader, report: Callable[[], object]) -> None:
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._has_stopped = False
        self._is_due = False
        # Read here: what is published from now on is reported.
        arguments = reader, _seen(reader)
        threading.Thread(
            target=self._run, args=arguments, name="kju-publications", daemon=True
        ).start()

    def stop(self) -> None:
        """Report nothing more. The thread ends within half a second."""
        self._has_stopped = True

    def _run(self, reader: Reader, seen: SeenSurface) -> None:
        while not self._has_stopped:
            reader.wait(seen.version, seen.cursor, seen.state, WAIT_CAP_MS)
            if (newest := _seen(reader)) == seen:
                continue
            is_cursor = newest == seen._replace(cursor=newest.cursor)
            seen = newest
            # A report that waits in the loop is about this publication too.
            if not self._is_due:
                self._is_due = True
                try:
                    self._loop.call_soon_threadsafe(self._deliver)
                except RuntimeError:
                    return  # the loop has closed
            if is_cursor:
                reader.wait(seen.version, -1, seen.state, _CURSOR_INTERVAL)

    def _deliver(self) -> None:
        # First, so that a publication during the report is reported again.
        self._is_due = False
        if not self._has_stopped:
            self._report()


def _seen(reader: Reader) -> SeenSurface:
    return SeenSurface(reader, reader.version, reader.state_code, reader.cursor_version)
