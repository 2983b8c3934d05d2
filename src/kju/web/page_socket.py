"""SHELL: one WebSocket: its screens, its actions and its wall.

Rules:

- A message with pixels is made only while few bytes wait to leave this computer (`has_room`). If
  `MAX_WAITING` bytes wait, the page does not read, and its socket is aborted.
- A message that is not valid ends the socket.
- The session's role and machines are checked here, whatever the page does.
- Once `end` was called, messages of the page are dropped, and its actions are cancelled.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import logging
import os
import socket as sockets
import struct
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
from aiohttp import WSMsgType, web

from ..errors import KjuError, PeerError
from ..escaping import without_folders
from ..protocol.values import Role, may_send_input
from ..wire import messages as wire
from . import messages
from .access_list import Principal
from .actions import carry_out, no_machine
from .carrier import WebCarrier
from .messages import (
    MAX_OPEN,
    PROTOCOL,
    Act,
    ActionProgress,
    ActionResult,
    Authenticate,
    CancelAction,
    CloseScreen,
    FromPage,
    FromServer,
    MachineList,
    MachinesInView,
    OpenScreen,
    ScreenClosed,
    SocketHello,
)
from .remote.actions import carry_out_remotely
from .remote.screen import FarScreen

log = logging.getLogger(__name__)

#: Bytes that may wait in this computer when a message with pixels is made.
ROOM = 65_536
#: Bytes that wait when a page that does not read loses its socket.
MAX_WAITING = 4 << 20
#: Seconds from a goodbye until the socket is aborted, whether the page reads or not.
END_TIME = 3.0
#: The most actions of one socket that are in progress.
MAX_ACTIONS = 8
#: ioctl(2): bytes in the send queue that were not sent yet (tcp(7)), or not read by the other end
#: of a Unix socket.
_SIOCOUTQNSD, _SIOCOUTQ = 0x894B, 0x5411
#: The last frame of a binary message: RFC 6455, 5.2.
_BINARY = 0x82
#: Close codes of RFC 6455, 7.4.1, and 1013 of its registry.
OK, GOING_AWAY, INVALID, TEXT, TOO_BIG, ENDED = 1000, 1001, 1002, 1003, 1009, 1008
FAULT, TRY_LATER = 1011, 1013
#: The reason of `ENDED`: a page says by itself that the session has ended.
NO_SESSION = "open another link: kju web link NAME"


class Served(Protocol):
    """The machines, as a socket sees them."""

    @property
    def build(self) -> str:
        """The version of the page's files."""

    @property
    def server(self) -> str:
        """The host name."""

    def serves(self, machine: str) -> bool:
        """Return whether the server serves a machine of this name."""

    def carrier(self, machine: str, console: int) -> WebCarrier | None:
        """Return the carrier of a screen; None for a missing one."""

    def remote(self, machine: str) -> FarScreen | None:
        """Return the screen of another computer that has this name; None without one."""

    def screen_refusal(self, principal: Principal, machine: str) -> str:
        """Return why a page of a session gets no further screen; empty if it does."""

    def listed(self, principal: Principal) -> list[messages.WebMachine]:
        """Return the machines of a session."""


class PageSocket:
    """One authenticated WebSocket.

    Args:
        ws: The WebSocket.
        transport: Its transport.
        principal: The holder of the session.
        served: The machines.

    Attributes:
        id: A random id.
        principal: The same.
        wall: The machines whose small pictures are in view.
    """

    def __init__(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        principal: Principal,
        served: Served,
    ) -> None:
        self.id = os.urandom(16).hex()
        self.principal = principal
        self.wall: frozenset[str] = frozenset()
        self._ws, self._served = ws, served
        self._outgoing = _Outgoing(ws, transport)
        self._screens: dict[int, _OpenScreen] = {}
        self._actions: dict[int, asyncio.Task[None]] = {}
        # Texts are typed in the order of their actions: a lock is fair.
        self._typing = asyncio.Lock()
        self._listed: list[messages.WebMachine] | None = None
        self._is_ending = False

    async def run(self) -> None:
        """Serve until the socket ends."""
        user, role = self.principal.title, self.principal.role
        served = self._served
        self._send(SocketHello(PROTOCOL, self.id, served.build, user, role, served.server))
        self.send_machines()
        try:
            await self._receive_all()
        finally:
            for task in self._actions.values():
                task.cancel()
            for number in list(self._screens):
                self._close_screen(number)
            # aiohttp waits until the page has read the rest, which may be never.
            self._outgoing.abort_after(END_TIME)
            await asyncio.gather(*self._actions.values(), return_exceptions=True)

    async def end(self, code: int, reason: str) -> None:
        """Send a goodbye, and close the socket. A page that does not read is not waited for."""
        self._is_ending = True
        for task in self._actions.values():
            task.cancel()
        self._send(wire.Goodbye(reason[:1000]))
        self._outgoing.abort_after(END_TIME)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_TIME):
                await self._ws.close(code=code, message=reason.encode()[:120])

    @property
    def shown(self) -> set[str]:
        """The machines whose screens this page shows."""
        return {screen.machine for screen in self._screens.values()}

    def has_room(self) -> bool:
        """Return whether little waits to leave this computer."""
        return self._outgoing.waiting() < ROOM

    def send(self, data: bytes) -> None:
        """Send a WebSocket message."""
        self._outgoing.put(data)

    def send_machines(self) -> None:
        """Send the list of machines, if it has changed."""
        listed = self._served.listed(self.principal)
        if listed != self._listed:
            self._listed = listed
            self._send(MachineList(listed))

    def _send(self, message: FromServer) -> None:
        self.send(messages.encode(message))

    # ---- receiving ----

    async def _receive_all(self) -> None:
        async for received in self._ws:
            if self._is_ending:
                continue
            if received.type is not WSMsgType.BINARY:
                await self.end(TEXT, "only binary messages are allowed")
                return
            try:
                number, data = messages.split_frame(received.data)
                if number:
                    self._receive_wire(number, bytes(data))
                elif self._receive(messages.decode_from_page(data)):
                    return
            except PeerError as error:
                log.info("session %s: %s", self.principal.id, error)
                await self.end(INVALID, str(error))
                return

    def _receive_wire(self, number: int, data: bytes) -> None:
        screen = self._screens.get(number)
        if screen is None:
            return  # it was closed here while the message was under way
        if not screen.has_begun:
            data = self._own_hello(data)
            screen.has_begun = True
        screen.carrier.receive(screen.session, data)

    def _own_hello(self, data: bytes) -> bytes:
        """Return the first message of a screen's session, with the user and role of the socket.

        Raises:
            PeerError: It is not a hello.
        """
        hello = wire.decode_from_viewer(data)
        if not isinstance(hello, wire.SessionHello):
            raise PeerError("the first message about a screen is not its hello", hello)
        may_control = may_send_input(hello.role) and self.principal.has_role("control")
        role: Role = "control" if may_control else "view"
        return wire.encode(
            msgspec.structs.replace(
                hello, role=role, user=self.principal.title, key=b"", audience=False
            )
        )

    def _receive(self, message: FromPage) -> bool:
        """Process a message of the socket's own; return whether it was the last one.

        Raises:
            PeerError: It is not valid now.
        """
        if isinstance(message, OpenScreen):
            self._open_screen(message)
        elif isinstance(message, CloseScreen):
            self._close_screen(message.screen)
        elif isinstance(message, MachinesInView):
            self.wall = frozenset(filter(self.principal.may_use, message.machines))
        elif isinstance(message, Act):
            self._act(message)
        elif isinstance(message, CancelAction):
            if (task := self._actions.get(message.number)) is not None:
                task.cancel()
        elif isinstance(message, Authenticate):
            raise PeerError("this socket is authenticated")
        else:
            return True
        return False

    # ---- screens ----

    def _open_screen(self, message: OpenScreen) -> None:
        number = message.screen
        if number in self._screens:
            raise PeerError(f"screen {number} is open")
        if reason := self._not_opened(message):
            self._send(ScreenClosed(number, reason))

    def _not_opened(self, message: OpenScreen) -> str:
        """Open a screen; return why it cannot be, empty if it is."""
        if len(self._screens) >= MAX_OPEN:
            return f"{MAX_OPEN} screens are open, the most of one socket"
        machine, carrier = message.machine, None
        if self.principal.may_use(machine):
            carrier = self._served.carrier(machine, message.console)
            if carrier is None and self._served.carrier(machine, 0) is not None:
                return f"{machine!r} has no console {message.console}"
        if carrier is None:
            return str(no_machine(machine))
        if reason := self._served.screen_refusal(self.principal, machine):
            return reason
        number = message.screen
        session = f"{self.id}.{number}"
        self._screens[number] = _OpenScreen(machine, carrier, session)
        carrier.connect(session, _Channel(self, number, self._screens))
        return ""

    def _close_screen(self, number: int) -> None:
        if (screen := self._screens.pop(number, None)) is not None:
            screen.carrier.disconnect(screen.session)

    # ---- actions ----

    def _act(self, message: Act) -> None:
        number = message.number
        if number in self._actions:
            raise PeerError(f"action {number} is in progress")
        if len(self._actions) >= MAX_ACTIONS:
            reason = f"{MAX_ACTIONS} actions are in progress, the most of one socket"
            self._send(ActionResult(number, error="LimitError", reason=reason))
            return
        task = self._actions[number] = asyncio.create_task(self._carry_out(message))
        task.add_done_callback(lambda _: self._actions.pop(number, None))

    async def _carry_out(self, message: Act) -> None:
        number = message.number
        result = ActionResult(number, error="InputError", reason="the action was cancelled")
        try:
            if not self._served.serves(message.machine):
                raise no_machine(message.machine)
            in_order = self._typing if message.action == "type" else contextlib.nullcontext()
            async with in_order:
                done = await self._done(message)
            result = ActionResult(number, msgspec.json.encode(done))
        except KjuError as error:
            log.info("%s of %s: %s", message.action, message.machine, error)
            reason = without_folders(str(error))[:1000]
            result = ActionResult(number, error=type(error).__name__, reason=reason)
        except Exception:
            log.exception("%s of %s failed", message.action, message.machine)
            reason = "a fault of the server: see its log"
            result = ActionResult(number, error="KjuError", reason=reason)
        finally:
            self._send(result)

    async def _done(self, message: Act) -> Any:  # noqa: ANN401  JSON
        report, remote = self._reporter(message.number), self._served.remote(message.machine)
        if remote is not None:
            return await carry_out_remotely(self.principal, message, report, remote)
        return await carry_out(self.principal, message, report)

    def _reporter(self, number: int) -> Callable[[int, int], None]:
        return lambda done, total: self._send(ActionProgress(number, done, total))


class _OpenScreen:
    """A screen of a socket.

    Attributes:
        machine: The name of its machine.
        carrier: Carries its messages.
        session: The id of its session.
        has_begun: Its hello was received.
    """

    def __init__(self, machine: str, carrier: WebCarrier, session: str) -> None:
        self.machine, self.carrier, self.session = machine, carrier, session
        self.has_begun = False


class _Channel:
    """A screen's way to its page: a `kju.web.carrier.ScreenChannel`."""

    def __init__(self, socket: PageSocket, number: int, screens: dict[int, _OpenScreen]) -> None:
        self._socket, self._number, self._screens = socket, number, screens

    def has_room(self) -> bool:
        """Return whether little waits in the socket."""
        return self._socket.has_room()

    def send(self, data: bytes) -> None:
        """Send a message about the screen."""
        self._socket.send(messages.frame(self._number, data))

    def close(self) -> None:
        """Free the screen's number."""
        self._screens.pop(self._number, None)


class _Outgoing:
    """Writes a socket's messages to its transport at once.

    aiohttp's own writer is a coroutine. It would send nothing while the next picture is encoded.

    Args:
        ws: The WebSocket.
        transport: Its transport.
    """

    def __init__(self, ws: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self._ws, self._transport = ws, transport
        sock: Any = transport.get_extra_info("socket")
        self._descriptor: int = sock.fileno() if sock is not None else -1
        is_unix = sock is not None and sock.family == sockets.AF_UNIX
        self._question = _SIOCOUTQ if is_unix else _SIOCOUTQNSD
        if sock is not None and sock.family in (sockets.AF_INET, sockets.AF_INET6):
            sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)

    def put(self, data: bytes) -> None:
        """Send a message after those that wait; abort the socket if too much waits."""
        if self._ws.closed or self._transport.is_closing():
            return
        self._transport.write(binary_frame(data))
        if self._transport.get_write_buffer_size() > MAX_WAITING:
            self._transport.abort()

    def waiting(self) -> int:
        """Return the bytes that wait in the transport and in the kernel."""
        if self._transport.is_closing():
            return MAX_WAITING
        unsent = array.array("i", [0])
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._descriptor, self._question, unsent)
        return self._transport.get_write_buffer_size() + unsent[0]

    def abort_after(self, seconds: float) -> None:
        """Abort the connection after a time. No effect if it has closed by then."""
        asyncio.get_running_loop().call_later(seconds, self._transport.abort)


def binary_frame(data: bytes) -> bytes:
    """Return a server's WebSocket frame with a whole binary message: RFC 6455, 5.2."""
    size = len(data)
    if size < 126:
        return struct.pack("!BB", _BINARY, size) + data
    if size < 1 << 16:
        return struct.pack("!BBH", _BINARY, 126, size) + data
    return struct.pack("!BBQ", _BINARY, 127, size) + data
