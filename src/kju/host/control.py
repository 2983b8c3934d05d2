"""SHELL: the control socket. Who may connect, bytes in, bytes and descriptors out.

Rules:

- Only this user and root are let in: the kernel says who the peer is (SO_PEERCRED).
- A client that breaks the protocol or does not read its replies is hung up on; the machine
  goes on.
- Requests of one client are started in order and may be done out of order. One that has to wait
  for nothing is done in the turn of the loop in which it is read. While as many are
  open and waiting as may be, nothing more is read from it: it waits, as with any full socket.
- A client that has not greeted is hung up on after `GREETING_SECONDS`, and earlier if another
  client needs its place. Some places are kept for clients that control.
- When a client has gone its unfinished requests are cancelled, and then the machine is told.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import functools
import itertools
import logging
import os
import select
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from ..errors import KjuError, PeerError
from ..files import Folder, descriptor_limit, listen, peer_of
from ..protocol.framing import HostSide, Outgoing, pack
from ..protocol.messages import AnyRequest, Cancel, Hello, Message, Refused

log = logging.getLogger(__name__)

#: Clients of one machine; each costs a descriptor.
MAX_CLIENTS = 200
#: Of those, clients that only view.
MAX_VIEWERS = 180
#: A client greets as soon as it has connected.
GREETING_SECONDS = 10.0
#: Requests of one client that are being worked on.
MAX_REQUESTS = 64
#: Requests of one client that have been read and wait for those; some are read ahead so that
#: one which breaks off another is found.
MAX_WAITING = 256
#: Bytes that wait for a client that does not read: four of the largest replies.
MAX_UNSENT = 4 << 20
BROKEN_OFF = "the client did not wait for it"
_CHUNK = 64 << 10


class Result(NamedTuple):
    """A reply, and the descriptors to send along; they stay the machine's own."""

    reply: Message
    descriptors: tuple[int, ...] = ()


class Machine(Protocol):
    """What answers requests."""

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        """Do what was asked. A `KjuError` becomes the client's."""

    def handle_at_once(self, client: Client, request: AnyRequest) -> Result | None:
        """Carry out a request, as `handle`, within this call; None if it has to wait."""

    def client_gone(self, client: Client) -> None:
        """A client has hung up, or was hung up on."""


class Client:
    """One connected client.

    Args:
        sock: Its connection.
        machine: What answers its requests.
        side: The protocol's state.
        refusal: Says why it is not served, of a client that has greeted; empty if it is.

    Attributes:
        number: Counts connections; never used again.
        side: The protocol's state.
        peer: Who it is.
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        sock: socket.socket,
        machine: Machine,
        side: HostSide,
        refusal: Callable[[], str] = lambda: "",
    ) -> None:
        sock.setblocking(False)
        self._refusal = refusal
        self.number = next(self._numbers)
        self.side = side
        self.peer = peer_of(sock)
        self.closed = False
        self._sock = sock
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[Outgoing] = deque()
        self._unsent_bytes = 0
        self._tasks: dict[asyncio.Task[None], int] = {}
        # Read, and not begun; never more than a chunk's over the limit.
        self._waiting: deque[AnyRequest] = deque()
        # Set while nothing is read: says that the client has hung up.
        self._hang_up: select.epoll | None = None
        self._loop.add_reader(sock, self._readable)
        self._greeting = self._loop.call_later(GREETING_SECONDS, self._not_greeted)

    def __str__(self) -> str:
        who = self.side.client or "a client"
        return f"{who} (connection {self.number}, process {self.peer.pid})"

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send one message, now or as soon as the client reads. Does nothing once closed."""
        if not self.closed:
            self.side.send(message, descriptors)
            self._flush()

    def begin(self, request: AnyRequest) -> None:
        """Answer a request, now or when others have been answered."""
        if isinstance(request, Cancel):
            self._break_off(request.number)
        else:
            self._waiting.append(request)
        self._begin_waiting()

    def _break_off(self, number: int) -> None:
        for task, of in self._tasks.items():
            if of == number:
                task.cancel()
        for request in [waits for waits in self._waiting if waits.number == number]:
            self._waiting.remove(request)
            self._fail(request, KjuError(BROKEN_OFF))

    def _begin_waiting(self) -> None:
        while self._waiting and len(self._tasks) < MAX_REQUESTS:
            request = self._waiting.popleft()
            if not self._tasks and self._answered_at_once(request):
                continue
            task = self._loop.create_task(self._answer(request))
            self._tasks[task] = request.number
            task.add_done_callback(functools.partial(self._answered, request))
        enough = len(self._waiting) > MAX_WAITING
        if enough != (self._hang_up is not None):
            self._stop_reading() if enough else self._read_again()

    def _answered(self, request: AnyRequest, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if task.cancelled():
            # Here, since a task that was cancelled before its first step never runs at all.
            self._fail(request, KjuError(BROKEN_OFF))
        if not self.closed:
            self._begin_waiting()

    def _answered_at_once(self, request: AnyRequest) -> bool:
        """Answer a request in this turn of the loop, if nothing has to be waited for.

        A task costs a request another turn. Only while this client has no other request open, so
        that its requests are begun in order.
        """
        try:
            result = self._machine.handle_at_once(self, request)
        except Exception as error:
            self._report(request, error)
            return True
        if result is None:
            return False
        self.send(*result)
        return True

    def _stop_reading(self) -> None:
        """Leave the client's bytes in the socket; its end is still noticed."""
        log.info("%s has %d requests waiting: it is not read for now", self, len(self._waiting))
        self._loop.remove_reader(self._sock)
        # Asyncio knows of readable and writable only, and both are true of what is not read.
        self._hang_up = select.epoll()
        self._hang_up.register(self._sock, select.EPOLLRDHUP)
        self._loop.add_reader(self._hang_up, self.close, "it hung up")

    def _read_again(self) -> None:
        self._forget_hang_up()
        self._loop.add_reader(self._sock, self._readable)

    def _forget_hang_up(self) -> None:
        if self._hang_up is not None:
            self._loop.remove_reader(self._hang_up)
            self._hang_up.close()
            self._hang_up = None

    async def _answer(self, request: AnyRequest) -> None:
        try:
            result = await self._machine.handle(self, request)
            self.send(*result)
        except Exception as error:
            self._report(request, error)

    def _report(self, request: AnyRequest, error: Exception) -> None:
        """Tell the client why its request failed, and the log."""
        what = type(request).__name__
        if isinstance(error, KjuError):
            log.info("%s: %s refused: %s", self, what, error)
            self._fail(request, error)
        else:
            # A mistake of ours must not end the machine, nor leave the client waiting.
            log.error("%s: %s failed", self, what, exc_info=error)
            self._fail(request, KjuError(f"the host failed at {what}; its log says more"))

    def _fail(self, request: AnyRequest, error: KjuError) -> None:
        if not self.closed:
            self.side.fail(request, error)
            self._flush()

    def _not_greeted(self) -> None:
        if self.side.role is None:
            self.refuse(f"it has not greeted in {GREETING_SECONDS:g} s")

    def refuse(self, reason: str) -> None:
        """Send the reason, then hang up."""
        log.warning("%s is refused: %s", self, reason)
        self.send(Refused(reason=reason))
        self.close(reason)

    def _readable(self) -> None:
        try:
            # Plain recv: descriptors that a client sends are dropped by the kernel.
            data = self._sock.recv(_CHUNK)
            if not data:
                self.close("it hung up")
                return
            for request in self.side.receive_data(data):
                if isinstance(request, Hello) and (reason := self._refusal()):
                    self.refuse(reason)
                    return
                self.begin(request)
            self._flush()
        except (BlockingIOError, InterruptedError):
            return
        except PeerError as error:
            log.warning("%s broke the protocol: %s", self, error)
            self.send(Refused(reason=str(error)))
            self.close("it broke the protocol")
        except OSError as error:
            self.close(error.strerror or str(error))

    def _flush(self) -> None:
        for out in self.side.data_to_send():
            self._unsent.append(out)
            self._unsent_bytes += len(out.data)
        try:
            while self._unsent and not self.closed:
                self._send_one(self._unsent[0])
        except (BlockingIOError, InterruptedError):
            if self._unsent_bytes > MAX_UNSENT:
                log.warning("%s does not read", self)
                self.close("it does not read")
            else:
                self._loop.add_writer(self._sock, self._flush)
            return
        except OSError as error:
            self.close(error.strerror or str(error))
            return
        if not self.closed:
            self._loop.remove_writer(self._sock)

    def _send_one(self, out: Outgoing) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", out.descriptors))]
        sent = self._sock.sendmsg(
            [out.data], rights if out.descriptors else [], socket.MSG_NOSIGNAL
        )
        # The descriptors went with the first byte.
        self._unsent.popleft()
        self._unsent_bytes -= sent
        if sent < len(out.data):
            self._unsent.appendleft(Outgoing(out.data[sent:]))

    def close(self, reason: str) -> None:
        """Hang up. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        log.info("%s has gone: %s", self, reason)
        self._greeting.cancel()
        self._waiting.clear()
        self._forget_hang_up()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for task in self._tasks:
            task.cancel()
        self._machine.client_gone(self)

    @property
    def idle(self) -> bool:
        """Whether everything has been sent."""
        return self.closed or not self._unsent


def _turn_away(sock: socket.socket, reason: str) -> None:
    """Hang up on somebody who has just connected, and say why."""
    with sock:
        log.warning("process %d was turned away: %s", peer_of(sock).pid, reason)
        # A new socket takes this much at once, unless its peer has gone already.
        with contextlib.suppress(OSError):
            sock.send(pack(Refused(reason=reason)), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            # What it has said already and is not read would have the kernel throw this away.
            sock.shutdown(socket.SHUT_RD)
            while sock.recv(_CHUNK, socket.MSG_DONTWAIT):
                pass


class Server:
    """Listens on a machine's control socket.

    Attributes:
        clients: Everybody connected.
    """

    def __init__(self, path: Path, machine: Machine) -> None:
        self.clients: list[Client] = []
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._sock = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        with Folder.open(path.parent) as folder:
            listen(self._sock, folder, path.name, 64)
        self._loop.add_reader(self._sock, self._accept)

    def adopt(self, sock: socket.socket, side: HostSide) -> Client:
        """Serve a connection that was made in another way."""
        client = Client(sock, self._machine, side, self._no_place)
        self.clients.append(client)
        return client

    def _no_place(self) -> str:
        """Why a client that has just greeted is not served; empty if it is."""
        roles = [client.side.role for client in self.clients if not client.closed]
        viewers = roles.count("view")
        return f"it has {MAX_VIEWERS} viewers already" if viewers > MAX_VIEWERS else ""

    def _make_place(self) -> bool:
        """Whether one more client can be served; if need be instead of one that has not greeted."""
        if len(self.clients) >= MAX_CLIENTS:
            for client in self.clients:
                if client.side.role is None:
                    client.refuse("it has not greeted, and another client needs its place")
                    self.clients.remove(client)
                    break
        return len(self.clients) < MAX_CLIENTS

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return
        except OSError as error:
            # Out of descriptors: the connection stays in the queue, and so does this event.
            log.error("a client could not be let in: %s", descriptor_limit(error) or error)
            self._loop.remove_reader(self._sock)
            self._loop.call_later(1, self._loop.add_reader, self._sock, self._accept)
            return
        peer = peer_of(sock)
        self.clients = [client for client in self.clients if not client.closed]
        if peer.uid not in (os.geteuid(), 0):
            _turn_away(sock, f"it serves user {os.geteuid()} and root, not user {peer.uid}")
        elif not self._make_place():
            _turn_away(sock, f"it has {MAX_CLIENTS} clients already")
        else:
            self.adopt(sock, HostSide())

    def broadcast(self, message: Message) -> None:
        """Tell every client that has said hello."""
        for client in list(self.clients):
            if client.side.role is not None:
                client.send(message)

    async def close(self, reason: str, patience: float = 0.3) -> None:
        """Stop listening, give clients a moment to read their last message, hang up."""
        self._loop.remove_reader(self._sock)
        self._sock.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not all(client.idle for client in self.clients):
                    await asyncio.sleep(0.005)
        for client in list(self.clients):
            client.close(reason)
