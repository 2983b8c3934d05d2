"""Serves the machines of this computer on the network."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from ..client.aio.link import AsyncLink
from ..client.aio.waiting import subscribe
from ..client.targets import running_names
from ..errors import KjuError, UnavailableError, UsageError
from ..protocol.messages import Done, GetInfo, Info, Keys, Point, Resize
from ..protocol.values import KINDS, Finger, To
from ..remote import addresses
from ..remote.addresses import SessionOptions, endpoint
from ..remote.transport import Engine
from ..store.paths import local_network
from ..wire.greeting import Admission, Admit, Stage
from ..wire.messages import InputDone
from .served_screen import CarryOut, ServedScreen
from .served_viewers import ServedViewer
from .shared_screen import ConsoleOrigin

log = logging.getLogger(__name__)

#: Seconds between two searches for new machines.
TICK = 1.0
#: The most bytes of an event that is sent to viewers: a wire message has at most 16,384.
MAX_EVENT = 16_000
#: Seconds for the host to carry out an input.
INPUT_TIMEOUT = 60.0

_decode = msgspec.msgpack.Decoder(Keys | Point | Resize).decode

#: Returns the `Admit` of a screen, by the name of the screen.
AdmitTo = Callable[[str], Admit]


def anyone(name: str) -> Admit:
    """Admit every viewer. On this user's own socket, every viewer is this user."""
    return lambda hello, raw: Admission(hello.role)


class Server:
    """Serves machines of this computer on the network.

    New connections may use half of the files that this process may open. ``kju serve`` raises that
    limit (RLIMIT_NOFILE); other programs must do so themselves.

    Args:
        names: The names of machines; none for all, including those that are started later.
        prefix: The part of the network names before a machine's name; by default this host's name.
        options: The endpoints; by default this user's own socket.
        admit: Decides about viewers, such as ``partial(kju.remote.proof.Authenticator, trust)``.
            The default admits everybody, so it must not be reachable from other computers.
        insecure: Allow unencrypted endpoints, and everybody who reaches them to control machines.

    Raises:
        UsageError: A name is not valid, an endpoint needs encryption, or other computers reach an
            endpoint without authentication.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        prefix: str = "",
        options: SessionOptions | None = None,
        admit: AdmitTo = anyone,
        insecure: bool = False,
    ) -> None:
        self._options = options or SessionOptions(listen=[endpoint(local_network())])
        self._options.check(insecure=insecure)
        remote = [each for each in self._options.listen if not each.is_local]
        if admit is anyone and not insecure and (remote or self._options.connect):
            where = ", ".join(map(str, [*remote, *self._options.connect]))
            raise UsageError(
                f"every client that reaches {where} could view and control these machines, even"
                " with TLS: authenticate viewers (kju cert host, kju trust; in Python pass admit),"
                " or allow it with --insecure"
            )
        self._names, self._admit = list(names), admit
        self.prefix = prefix or socket.gethostname().split(".")[0]
        addresses.check_screen(f"{self.prefix}/x")
        self.served: dict[str, _ServedMachine] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._engine: Engine | None = None

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until this is cancelled. A machine that was restarted is served again.

        Raises:
            KjuError: A named machine is missing at the start, or zenoh cannot open a session.
        """
        self._engine = await Engine.open(self._options)
        try:
            for name in self._names:
                await self._add(self._engine, name)
            await self._update(self._engine)
            ready()
            while True:
                await asyncio.sleep(TICK)
                await self._update(self._engine)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._engine.close()

    async def _update(self, engine: Engine) -> None:
        """Serve machines that have started, and forget those that have ended."""
        for name in [name for name, task in self._tasks.items() if task.done()]:
            task = self._tasks.pop(name)
            self.served.pop(name, None)
            if not task.cancelled() and (error := task.exception()):
                log.error("%s: %s", name, error, exc_info=error)
        running = set(running_names())
        for name in running & set(self._names or running) - set(self._tasks):
            with contextlib.suppress(KjuError):
                await self._add(engine, name)

    async def _add(self, engine: Engine, name: str) -> None:
        link = await AsyncLink.attach(name, "view", "kju serve")
        info = (await link.ask(GetInfo(), Info)).info
        if KINDS[info["kind"]].is_remote and not self._names:
            link.close()  # else a mirror of a machine served here would be served again
            return
        served = _ServedMachine(engine, link, f"{self.prefix}/{name}", self._admit)
        self.served[name] = served
        self._tasks[name] = asyncio.create_task(served.run())


class _ServedMachine:
    """One machine on the network: a `ServedScreen` for each console.

    Each viewer with the role `control` has a connection of its own to the host. So its keys are
    released when it leaves, and the host checks its requests.

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
        async def carry_out(viewer: ServedViewer, body: bytes) -> InputDone:
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
            return InputDone(1, done.epoch, done.version)

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


@contextlib.asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """Serve in the background of an ``async with``."""
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield server
    finally:
        waiting.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def find(options: SessionOptions, seconds: float = 2.0) -> list[str]:
    """Return the sorted names of the screens that are served on the network."""
    engine = await Engine.open(options)
    try:
        keys = await asyncio.to_thread(engine.find_tokens, addresses.presence("**"), seconds)
    finally:
        await engine.close()
    return sorted(filter(None, map(addresses.screen_of, keys)))
