"""Machines of this computer, served on the network.

Each screen is one `kju.serving.served_screen`. Each viewer that may control a machine has its own
connection to the host, so that its keys are released when it leaves and the host enforces its role.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from ..client.aio.link import AsyncLink
from ..client.aio.screen import Screen, open_screen
from ..client.aio.snapshots import events
from ..client.defined import running_names
from ..errors import KjuError, UnavailableError, UsageError
from ..protocol.messages import Done, Finger, GetInfo, Info, Keys, Point, To
from ..remote import address
from ..remote.endpoints import Options, endpoint
from ..remote.transport import Engine
from ..store import running as runtime
from ..surface.consumer import Consumer
from ..wire.messages import Done as WireDone
from ..wire.sender import Admission, Admit, Stage
from .audience import Viewer
from .served_screen import Outlet

log = logging.getLogger(__name__)

#: Seconds between two looks for machines that have come, and for what a screen does not announce.
TICK = 1.0

_decode = msgspec.msgpack.Decoder(Keys | Point).decode


#: Decides who may see and drive the screen of a name.
AdmitTo = Callable[[str], Admit]


def anyone(name: str) -> Admit:
    """Let everybody in who reaches this: on this user's own socket that is the user."""
    return lambda hello, raw: Admission(hello.role)


class ServedScreen:
    """One console of a machine, as an outlet takes it."""

    def __init__(self, machine: str, console: int) -> None:
        self._machine, self._console = machine, console
        self._link: AsyncLink | None = None
        self._screen: Screen | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def consumer(self) -> Consumer:
        """The screen's pixels."""
        if self._screen is None:
            raise UnavailableError(f"nobody looks at {self._machine}")
        return self._screen._open()

    async def open(self, changed: Callable[[], None]) -> None:
        """Look from now on."""
        self._link = await AsyncLink.attach(self._machine, "view", "kju serve")
        try:
            self._screen = await open_screen(self._link, self._console)
        except BaseException:
            self.close()
            raise
        self._following = asyncio.create_task(self._follow(changed))

    async def _follow(self, changed: Callable[[], None]) -> None:
        """Wait for publications until the machine ends."""
        while (screen := self._screen) is not None:
            reader = self.consumer.reader
            version, state = reader.version, reader.state_code
            changed()
            await screen._sleep(int(TICK * 1000), version, state)

    def close(self) -> None:
        """Look no more."""
        if self._following is not None:
            self._following.cancel()
        if self._screen is not None:
            self._screen.close()
        if self._link is not None:
            self._link.close()
        self._following = self._screen = self._link = None


class Served:
    """One machine on the network.

    Attributes:
        names: Its consoles' names there, in their order.
    """

    def __init__(self, engine: Engine, link: AsyncLink, name: str, admit: AdmitTo) -> None:
        self._machine = link.name
        self._life = link
        self._links: dict[Viewer, AsyncLink] = {}
        self._outlets: list[Outlet] = []
        for index in range(link.welcome.consoles):
            served = ServedScreen(link.name, index)
            full = name + (f".{index}" if index else "")
            outlet = Outlet(engine, full, served, admit(full), self._acts(index), self._left)
            self._outlets.append(outlet)
        self.names = [outlet.name for outlet in self._outlets]

    @property
    def outlets(self) -> Sequence[Outlet]:
        """One for each console."""
        return self._outlets

    async def run(self) -> None:
        """Serve until the machine ends."""
        for outlet in self._outlets:
            outlet.open()
        reason = "the sender has ended"
        task = asyncio.create_task(self._tell_events())
        try:
            await self._life.ended.wait()
            reason = f"{self._machine} has ended"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for outlet in self._outlets:
                outlet.close(reason)
            for link in [self._life, *self._links.values()]:
                link.close()

    async def _tell_events(self) -> None:
        async for event in events(self._machine, "kju serve", -1, None):
            data = json.dumps(event.data).encode()
            for outlet in self._outlets:
                if len(data) < 16_000:
                    outlet.happened(event.name, data)

    def _acts(self, console: int) -> Callable[[Viewer, bytes], asyncio.Future[WireDone]]:
        async def act(viewer: Viewer, body: bytes) -> WireDone:
            try:
                request = _decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise UsageError(f"this is no input: {error}") from error
            for action in request.actions if isinstance(request, Point) else ():
                if isinstance(action, To | Finger):
                    viewer.sender.look_at(action.x, action.y)
            link = await self._link_of(viewer)
            done = await link.ask(msgspec.structs.replace(request, console=console), Done, 60.0)
            return WireDone(1, done.epoch, done.version)

        return act  # type: ignore[return-value]

    async def _link_of(self, viewer: Viewer) -> AsyncLink:
        if viewer not in self._links:
            who = f"viewer {viewer.sender.user or viewer.id[:8]}"
            link = await AsyncLink.attach(self._machine, "control", who)
            if viewer.sender.stage is Stage.CLOSED:
                link.close()
                raise UnavailableError(f"{who} has gone")
            if viewer in self._links:
                link.close()
            else:
                self._links[viewer] = link
        return self._links[viewer]

    def _left(self, viewer: Viewer) -> None:
        link = self._links.pop(viewer, None)
        if link is not None:
            link.close()


class Server:
    """Machines of this computer on the network.

    New connections may take half of the files that this process may have open. ``kju serve`` raises
    that limit (RLIMIT_NOFILE); here it is the program's to raise.

    Args:
        names: Of machines; none for all, those that are started later as well.
        prefix: What stands before a machine's name on the network.
        options: How others get here, or this to others.
        admit: Decides who is let in, such as ``partial(kju.remote.proof.Admit, trust)``. By
            default everybody who reaches this: so it must be on this computer only.
        insecure: Allow screens and keys to leave this computer unencrypted, and everybody who
            reaches it to see and drive the machines.

    Raises:
        UsageError: A name is none, something leaves this computer unprotected, or other computers
            reach this and everybody would be let in.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        prefix: str = "",
        options: Options | None = None,
        admit: AdmitTo = anyone,
        insecure: bool = False,
    ) -> None:
        self._options = options or Options(listen=[endpoint(runtime.network())])
        self._options.check(insecure=insecure)
        far = [each for each in self._options.listen if not each.is_local]
        if admit is anyone and not insecure and (far or self._options.connect):
            where = ", ".join(map(str, [*far, *self._options.connect]))
            raise UsageError(
                f"everybody who reaches {where} could see and drive these machines, with TLS too:"
                " let in by certificates (kju cert host, kju trust; in Python pass admit), or say"
                " insecure"
            )
        self._names, self._admit = list(names), admit
        self.prefix = prefix or socket.gethostname().split(".")[0]
        address.checked(f"{self.prefix}/x")
        self.served: dict[str, Served] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._engine: Engine | None = None

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Serve until this is cancelled; a machine that ends is served again when it is back.

        Raises:
            KjuError: A machine is not there at first, or zenoh opens no session.
        """
        self._engine = await Engine.open(self._options)
        try:
            for name in self._names:
                await self._add(name)
            await self._find()
            ready()
            while True:
                await asyncio.sleep(TICK)
                await self._find()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            await self._engine.close()

    async def _find(self) -> None:
        for name in [name for name, task in self._tasks.items() if task.done()]:
            task = self._tasks.pop(name)
            self.served.pop(name, None)
            if not task.cancelled() and (error := task.exception()):
                log.error("%s: %s", name, error, exc_info=error)
        there = set(running_names())
        for name in there & set(self._names or there) - set(self._tasks):
            with contextlib.suppress(KjuError):
                await self._add(name)

    async def _add(self, name: str) -> None:
        if self._engine is None:
            return
        link = await AsyncLink.attach(name, "view", "kju serve")
        info = (await link.ask(GetInfo(), Info)).info
        if info["kind"] == "mirror" and not self._names:
            link.close()  # a mirror of what is served here would be served again
            return
        served = Served(self._engine, link, f"{self.prefix}/{name}", self._admit)
        self.served[name] = served
        self._tasks[name] = asyncio.create_task(served.run())


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


async def find(options: Options, seconds: float = 2.0) -> list[str]:
    """The names of the screens that are served where this reaches, sorted."""
    engine = await Engine.open(options)
    try:
        keys = await asyncio.to_thread(engine.tokens, address.presence("**"), seconds)
    finally:
        await engine.close()
    return sorted(filter(None, map(address.name_of, keys)))


__all__ = ["Server", "anyone", "find", "serving"]
