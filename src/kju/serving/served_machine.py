"""The machines of this computer as served screens, whatever carries their messages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from ..client.aio.link import AsyncLink
from ..client.requests import event_of
from ..client.targets import running_names
from ..errors import KjuError, MachineGoneError, UnavailableError, UsageError
from ..escaping import without_folders
from ..protocol.messages import Done, GetInfo, Info, Keys, Point, Resize, Subscribe
from ..protocol.values import KINDS, Finger, To
from ..wire.greeting import Admit, Stage
from ..wire.messages import InputDone
from .carrier import Carrier, ServedViewer
from .served_screen import CarryOut, ServedScreen
from .shared_screen import ConsoleOrigin

log = logging.getLogger(__name__)

#: The most bytes of an event that is sent to viewers: a wire message has at most 16,384.
_MAX_EVENT = 16_000
#: Seconds for the host to carry out an input.
INPUT_TIMEOUT = 60.0

_decoder: msgspec.msgpack.Decoder[Keys | Point | Resize] = msgspec.msgpack.Decoder(
    Keys | Point | Resize
)

#: Returns the `Admit` of a screen, by the name of the screen.
AdmitTo = Callable[[str], Admit]
#: Returns the carrier of a screen, by the name of the screen.
CarrierOf = Callable[[str], Carrier]


def decode_input(body: bytes) -> Keys | Point | Resize:
    """Decode the body of a viewer's input.

    Raises:
        UsageError: It is not valid.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"not a valid input: {error}") from error


class ServedMachines:
    """The running machines that are served.

    Args:
        names: The names of machines; none for all, including those that are started later.
        prefix: Put before a machine's name, for the name of its screens.
        carrier: Returns the carrier of a screen.
        admit: Returns the `Admit` of a screen.

    Attributes:
        served: The served machines, by name.
    """

    def __init__(
        self, names: Sequence[str], prefix: str, carrier: CarrierOf, admit: AdmitTo
    ) -> None:
        self._names, self._prefix = list(names), prefix
        self._carrier, self._admit = carrier, admit
        self.served: dict[str, ServedMachine] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Serve the machines that run now.

        Raises:
            KjuError: A named machine is missing.
        """
        for name in self._names:
            await self._add(name)
        await self.update()

    async def update(self) -> None:
        """Serve machines that have started, and forget those that have ended."""
        for name in [name for name, task in self._tasks.items() if task.done()]:
            task = self._tasks.pop(name)
            self.served.pop(name, None)
            if not task.cancelled() and (error := task.exception()):
                log.error("%s: %s", name, error, exc_info=error)
        running = set(running_names())
        for name in running & set(self._names or running) - set(self._tasks):
            with contextlib.suppress(KjuError):
                await self._add(name)

    async def close(self) -> None:
        """Serve no more machines."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _add(self, name: str) -> None:
        link = await AsyncLink.attach(name, "view", "kju serve")
        try:
            info = (await link.ask(GetInfo(), Info)).info
        except BaseException:
            link.close()
            raise
        if KINDS[info["kind"]].is_remote and not self._names:
            link.close()  # else a mirror of a machine served here would be served again
            return
        full = f"{self._prefix}{name}"
        served = ServedMachine(link, full, info["kind"], self._carrier, self._admit)
        self.served[name] = served
        self._tasks[name] = asyncio.create_task(served.run())


class ServedMachine:
    """One machine on the network: a `ServedScreen` for each console.

    Each viewer with the role `control` has a connection of its own to the host. So its keys are
    released when it leaves, and the host checks its requests.

    Args:
        link: A connection to the machine's host.
        name: The machine's name on the network.
        kind: The kind of its emulator.
        carrier: Returns the carrier of a screen, by the screen's name.
        admit: Decides about the viewers of its screens.

    Attributes:
        screens: A served screen for each console.
        names: The names of these screens.
        kind: The kind of the machine's emulator.
        state: The machine's state.
    """

    def __init__(
        self, link: AsyncLink, name: str, kind: str, carrier: CarrierOf, admit: AdmitTo
    ) -> None:
        self._machine = link.name
        self.kind = kind
        self.state: Literal["running", "paused"] = "running"
        self._link = link
        self._control_links: dict[ServedViewer, _ControlLink] = {}
        self.screens: list[ServedScreen] = []
        for index in range(link.welcome.consoles):
            full = name + (f".{index}" if index else "")
            origin = ConsoleOrigin(link.name, index)
            act = self._carry_out(index)
            screen = ServedScreen(carrier(full), origin, admit(full), act, self._on_left)
            self.screens.append(screen)
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
            self._link.close()
            for link in self._control_links.values():
                link.close()

    async def _send_events(self) -> None:
        """Send events until the machine ends; a failure is logged, and no more are sent."""
        try:
            await self._follow_events()
        except MachineGoneError:
            return
        except (KjuError, OSError) as error:
            log.error("viewers of %s get no more of its events: %s", self._machine, error)

    async def _follow_events(self) -> None:
        link = await AsyncLink.attach(self._machine, "view", "kju serve")
        try:
            await link.ask(Subscribe(), Done)
            # After the subscription, so that no change between the two is missed.
            info = (await link.ask(GetInfo(), Info)).info
            self.state = "paused" if info["state"] == "paused" else "running"
            while True:
                event = event_of(await link.next_event(None))
                self._send_event(event.name, json.dumps(_for_viewers(event.data)).encode())
        finally:
            link.close()

    def _send_event(self, name: str, data: bytes) -> None:
        if name in ("paused", "resumed"):
            self.state = "paused" if name == "paused" else "running"
        for screen in self.screens:
            if len(data) < _MAX_EVENT:
                screen.send_event(name, data)

    def _carry_out(self, console: int) -> CarryOut:
        async def carry_out(viewer: ServedViewer, body: bytes) -> InputDone:
            request = decode_input(body)
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
        if viewer.sender.stage is Stage.CLOSED:
            raise UnavailableError("the viewer has disconnected")
        link = self._control_links.setdefault(viewer, _ControlLink(self._machine, viewer))
        return await link.opened()

    def _on_left(self, viewer: ServedViewer) -> None:
        link = self._control_links.pop(viewer, None)
        if link is not None:
            link.close()


def _for_viewers(data: dict[str, Any]) -> dict[str, Any]:
    """Return an event's data without the folders of this computer's files."""
    return {
        key: without_folders(value) if isinstance(value, str) else value
        for key, value in data.items()
    }


class _ControlLink:
    """A viewer's connection to the host. It is made for the first input."""

    def __init__(self, machine: str, viewer: ServedViewer) -> None:
        self._machine, self._viewer = machine, viewer
        self._link: AsyncLink | None = None
        # Inputs that arrive meanwhile wait in their order: a lock is fair.
        self._lock = asyncio.Lock()

    async def opened(self) -> AsyncLink:
        """Return the connection. Callers get it in the order of their calls.

        Raises:
            KjuError: The host does not answer, or the viewer has left.
        """
        async with self._lock:
            if self._link is None:
                client = f"viewer {self._viewer.sender.user or self._viewer.id[:8]}"
                link = await AsyncLink.attach(self._machine, "control", client)
                if self._viewer.sender.stage is Stage.CLOSED:
                    link.close()
                    raise UnavailableError(f"{client} has disconnected")
                self._link = link
            return self._link

    def close(self) -> None:
        if self._link is not None:
            self._link.close()
