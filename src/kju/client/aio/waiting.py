"""The part of the asynchronous half that is written by hand: it waits in the event loop.

`kju.client.waiting` has the same names for programs with threads; `tools/generate_sync.py` lists
them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Generic, NamedTuple, ParamSpec, Self, TypeAlias, TypeVar

from ...errors import MachineGoneError
from ...protocol.messages import Done, Subscribe
from ...surface import Change, Mark
from ...surface._core import WAIT_CAP_MS, Reader
from ..consumer.base import SurfaceBase
from ..link import Link, deadline_of
from ..processes import HostProcess, SpawnedHost
from ..requests import Event, event_of
from .link import AsyncLink

P = ParamSpec("P")
T = TypeVar("T")
ScreenT = TypeVar("ScreenT", bound=SurfaceBase)

# A waiter is renewed after half a second at the latest. One that was not belongs to an event loop
# that was abandoned, and nobody else would remove it.
_ABANDONED_SECONDS = 2.0


async def sleep(seconds: float) -> None:
    """Let the event loop run for a time."""
    await asyncio.sleep(seconds)


async def run_blocking(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function on a thread."""
    return await asyncio.to_thread(function, *args, **kwargs)


@contextlib.contextmanager
def connection(link: AsyncLink) -> Iterator[Link]:
    """Return a connection for one call on a thread. It lasts for a millisecond."""
    own = Link.attach(link.name, link.welcome.role, link.name)
    try:
        yield own
    finally:
        own.close()


async def open_serial(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return the streams of a serial port; takes ownership of the descriptor."""
    return await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor))


class SeenSurface(NamedTuple):
    """The state of a surface that a waiter has seen.

    Attributes:
        reader: The surface.
        version: Its version.
        state: Its state.
        cursor: The version of its cursor; -1: the cursor does not matter.
    """

    reader: Reader
    version: int
    state: int
    cursor: int = -1

    def is_old(self) -> bool:
        """Return whether the surface has another state now."""
        reader, version, state, cursor = self
        return (
            reader.version != version
            or reader.state_code != state
            or (cursor >= 0 and reader.cursor_version != cursor)
        )


class Notifier:
    """A thread that calls back when a surface differs from the state that a waiter has seen.

    The thread starts with the first waiter and ends within half a second of the last one; without
    waiters there is no thread. A waiter that is never removed counts for two seconds. Callbacks run
    on the thread and must return at once (``loop.call_soon_threadsafe``).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[int, tuple[SeenSurface, Callable[[], None], float]] = {}
        self._next = 0
        self._running = False

    def add(self, seen: SeenSurface, callback: Callable[[], None]) -> int:
        """Call *callback* when the surface differs from *seen*, perhaps twice."""
        with self._lock:
            self._next += 1
            expires = time.monotonic() + _ABANDONED_SECONDS
            self._waiters[self._next] = (seen, callback, expires)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="kju-notifier", daemon=True).start()
            number = self._next
        # The thread may sleep until a change from a newer version, which another waiter has seen.
        if seen.is_old():
            callback()
        return number

    def remove(self, number: int) -> None:
        """Remove a waiter; it may have been called back."""
        with self._lock:
            self._waiters.pop(number, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                moved = [
                    (number, callback)
                    for number, (seen, callback, _) in self._waiters.items()
                    if seen.is_old()
                ]
                now = time.monotonic()
                old = [number for number, waiter in self._waiters.items() if waiter[-1] < now]
                for number in {*(number for number, _ in moved), *old}:
                    del self._waiters[number]
                if not self._waiters and not moved:
                    self._running = False
                    return
                # The newest surface's futex; waiters for one that it replaced time out and return.
                newest = next(reversed(self._waiters.values()), None)
            for _, callback in moved:
                callback()
            if newest is not None:
                reader, version, state, cursor = newest[0]
                reader.wait(version, cursor, state, WAIT_CAP_MS)


class SleepingSurface(SurfaceBase):
    """A surface whose waits belong to the event loop; one thread per surface sleeps."""

    _notifier: Notifier | None = None

    async def _next_change(self, mark: Mark, seconds: float | None) -> Change:
        """Sleep until pixels change after a mark: see `kju.Surface.wait`. May be cancelled."""
        deadline = deadline_of(seconds)
        while True:
            reader = self._consumer.reader
            version, state = reader.version, reader.state_code
            checked = self._check(mark, deadline, seconds)
            if isinstance(checked, Change):
                return checked
            await self._sleep(checked, version, state)

    async def _sleep(self, milliseconds: int, version: int, state: int) -> None:
        if self._notifier is None:
            self._notifier = Notifier()
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:
                pass  # the loop has been closed, with all that waited in it

        number = self._notifier.add(SeenSurface(self._consumer.reader, version, state), wake)
        try:
            await asyncio.wait_for(woken.wait(), milliseconds / 1000)
        except TimeoutError:
            pass
        finally:
            self._notifier.remove(number)


class Screens(tuple[ScreenT, ...], Generic[ScreenT]):
    """A machine's screens, one per console, all of them open."""

    @classmethod
    async def of(
        cls, link: AsyncLink, open_screen: Callable[[AsyncLink, int], Awaitable[ScreenT]]
    ) -> Self:
        """Open the screens of a machine: an index cannot be awaited."""
        return cls([await open_screen(link, at) for at in range(link.welcome.consoles)])

    def close(self) -> None:
        """Close the screens."""
        for screen in self:
            screen.close()


Events: TypeAlias = AsyncIterator[Event]


async def subscribe(name: str, client: str, since: int | None, timeout: float | None) -> Events:
    """Yield the events of a machine, from a connection of their own: see `kju.Machine.events`."""
    link = await AsyncLink.attach(name, "view", client)
    try:
        await link.ask(Subscribe(since=-1 if since is None else since), Done)
        while True:
            yield event_of(await link.next_event(timeout))
    except MachineGoneError:
        return
    finally:
        link.close()


async def reap(child: HostProcess, seconds: float) -> None:
    """Wait for the end of a host; kill it after *seconds*."""
    if child.poll() is not None:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look() -> None:
        if child.poll() is not None:
            ended.set()

    if isinstance(child, SpawnedHost):
        descriptor = os.dup(child.fileno())
    else:
        descriptor = os.pidfd_open(child.pid)
    try:
        loop.add_reader(descriptor, look)
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        # Its own limits are shorter, so it hangs. The kernel kills its QEMU with it.
        child.kill()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    child.wait()
