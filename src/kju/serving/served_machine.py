"""SHELL: one machine of this computer on the network: a `ServedScreen` for each console.

Each viewer with the role `control` has a connection of its own to the host. So its keys are
released when it leaves, and the host checks its requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence

import msgspec

from ..client.aio.link import AsyncLink
from ..client.aio.waiting import Notifier, subscribe
from ..client.link import only_descriptor
from ..errors import KjuError, UnavailableError, UsageError
from ..memory import SharedMemory, open_fd
from ..protocol.messages import Done, Finger, GetSurface, Keys, Point, SurfaceHandle, To
from ..remote.transport import Engine
from ..surface import State
from ..surface.consumer import Consumer
from ..wire.greeting import Admit, Stage
from ..wire.messages import Done as WireDone
from .registry import ServedViewer
from .served_screen import CarryOut, ServedScreen

#: Seconds between two looks at a surface without a publication.
TICK = 1.0
#: The same, while the surface that replaces it does not exist yet.
REPLACED_TICK = 0.05
#: The most bytes of an event that is sent to viewers: a wire message has at most 16,384.
MAX_EVENT = 16_000
#: Seconds for the host to carry out an input.
INPUT_TIMEOUT = 60.0

_decode = msgspec.msgpack.Decoder(Keys | Point).decode

#: Returns who decides about the viewers of a screen.
AdmitTo = Callable[[str], Admit]


class ConsoleOrigin:
    """One console of a machine as a `ScreenOrigin`.

    Args:
        machine: The machine's name.
        console: The console's index.
    """

    def __init__(self, machine: str, console: int) -> None:
        self._machine, self._console = machine, console
        self._link: AsyncLink | None = None
        self._segment: SharedMemory | None = None
        self._consumer: Consumer | None = None
        self._notifier = Notifier()
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

    async def open(self, changed: Callable[[], None]) -> None:
        """Open the console's surface, and call *changed* after each publication."""
        self._link = await AsyncLink.attach(self._machine, "view", "kju serve")
        try:
            await self._open_surface(self._link)
        except BaseException:
            self.close()
            raise
        self._following = asyncio.create_task(self._follow(self._link, changed))

    async def _open_surface(self, link: AsyncLink) -> None:
        """Open the present surface, in place of the one before."""
        answer = await link.call(GetSurface(console=self._console))
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
        if old is not None:
            old.close()

    async def _follow(self, link: AsyncLink, changed: Callable[[], None]) -> None:
        """Report publications until the machine ends."""
        while True:
            if self.consumer.reader.state_code == State.SUPERSEDED:
                with contextlib.suppress(KjuError, OSError):
                    await self._open_surface(link)
            reader = self.consumer.reader
            version, state = reader.version, reader.state_code
            changed()
            await self._wait(version, state, TICK if state != State.SUPERSEDED else REPLACED_TICK)

    async def _wait(self, version: int, state: int, seconds: float) -> None:
        """Return when the version or the state is another, or after *seconds*."""
        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(woken.set)

        number = self._notifier.add(self.consumer.reader, version, state, wake)
        try:
            async with asyncio.timeout(seconds):
                await woken.wait()
        except TimeoutError:
            pass
        finally:
            self._notifier.remove(number)

    def close(self) -> None:
        """Close the surface. No effect if it is not open."""
        if self._following is not None:
            self._following.cancel()
        if self._segment is not None:
            self._segment.close()
        if self._link is not None:
            self._link.close()
        self._following = self._segment = self._consumer = self._link = None


class ServedMachine:
    """One machine on the network.

    Args:
        engine: The zenoh session.
        link: A connection to the machine's host.
        name: The machine's name on the network.
        admit: Decides about the viewers of its screens.

    Attributes:
        screens: A served screen for each console.
        names: The names of these screens.
    """

    def __init__(self, engine: Engine, link: AsyncLink, name: str, admit: AdmitTo) -> None:
        self._machine = link.name
        self._link = link
        self._control_links: dict[ServedViewer, AsyncLink] = {}
        self.screens: list[ServedScreen] = []
        for index in range(link.welcome.consoles):
            full = name + (f".{index}" if index else "")
            origin = ConsoleOrigin(link.name, index)
            self.screens.append(
                ServedScreen(
                    engine, full, origin, admit(full), self._carry_out(index), self._on_left
                )
            )
        self.names: Sequence[str] = [screen.name for screen in self.screens]

    async def run(self) -> None:
        """Serve until the machine ends."""
        for screen in self.screens:
            screen.open()
        reason = "the sender has ended"
        task = asyncio.create_task(self._send_events())
        try:
            await self._link.ended.wait()
            reason = f"{self._machine} has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for screen in self.screens:
                screen.close(reason)
            for link in [self._link, *self._control_links.values()]:
                link.close()

    async def _send_events(self) -> None:
        async for event in subscribe(self._machine, "kju serve", -1, None):
            data = json.dumps(event.data).encode()
            for screen in self.screens:
                if len(data) < MAX_EVENT:
                    screen.send_event(event.name, data)

    def _carry_out(self, console: int) -> CarryOut:
        async def carry_out(viewer: ServedViewer, body: bytes) -> WireDone:
            try:
                request = _decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise UsageError(f"not a valid input: {error}") from error
            for action in request.actions if isinstance(request, Point) else ():
                if isinstance(action, To | Finger):
                    viewer.sender.set_focus(action.x, action.y)
            link = await self._control_link(viewer)
            request = msgspec.structs.replace(request, console=console)
            done = await link.ask(request, Done, INPUT_TIMEOUT)
            return WireDone(1, done.epoch, done.version)

        return carry_out

    async def _control_link(self, viewer: ServedViewer) -> AsyncLink:
        """Return the viewer's own connection to the host."""
        if viewer not in self._control_links:
            client = f"viewer {viewer.sender.user or viewer.id[:8]}"
            link = await AsyncLink.attach(self._machine, "control", client)
            if viewer.sender.stage is Stage.CLOSED:
                link.close()
                raise UnavailableError(f"{client} has disconnected")
            if viewer in self._control_links:
                link.close()  # another input of the viewer was faster
            else:
                self._control_links[viewer] = link
        return self._control_links[viewer]

    def _on_left(self, viewer: ServedViewer) -> None:
        link = self._control_links.pop(viewer, None)
        if link is not None:
            link.close()
