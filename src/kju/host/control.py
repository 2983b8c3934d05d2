"""SHELL: the control socket: connections, bytes in, bytes and descriptors out.

- Only this user and root may connect; the kernel identifies the peer (SO_PEERCRED).
- A client that breaks the protocol or does not read its replies is disconnected; the machine
  continues.
- Requests of one client start in order and may finish out of order. One that does not have to wait
  is answered in the turn of the loop that reads it. A client may cancel a request, except one that
  only releases keys or buttons: they would stay down. At the limit of open and waiting requests
  nothing more is read from the client, so its socket fills up and it waits.
- A client that sends no greeting is disconnected after `GREETING_TIMEOUT`, or earlier if another
  client needs its place. Some places are reserved for clients that control.
- When a client disconnects its unfinished requests are cancelled, then the machine is notified.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
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
from ..files import Folder, descriptor_limit, peer_of
from ..protocol.framing import HostSide, NumberedRequest, OutgoingData, failure, pack
from ..protocol.messages import AnyRequest, Cancel, Hello, Refused
from ..protocol.values import Message

log = logging.getLogger(__name__)

#: Clients of one machine; each takes a descriptor.
MAX_CLIENTS = 200
#: Clients of the view role among them.
MAX_VIEWERS = 180
#: Seconds for the greeting, which a client sends as soon as it has connected.
GREETING_TIMEOUT = 10.0
#: Requests of one client that are open.
MAX_REQUESTS = 64
#: Requests of one client that wait for an open one to finish. They are read ahead so that a
#: `Cancel` is found.
MAX_WAITING = 256
#: Bytes that wait for a client that does not read: four of the largest replies.
MAX_UNSENT = 4 << 20
#: Seconds for clients to read their last message.
_LAST_READ_TIMEOUT = 0.3
_CANCELLED = "the client cancelled it"
_CHUNK = 64 << 10


class Result(NamedTuple):
    """A reply, and the descriptors to send with it; the machine keeps and closes them."""

    reply: Message
    descriptors: tuple[int, ...] = ()


class RequestHandler(Protocol):
    """The answers to requests: `kju.host.machine.HostedMachine`."""

    async def handle(self, client: Client, request: AnyRequest) -> Result:
        """Answer a request; the client gets a `KjuError` that this raises."""

    def handle_at_once(self, client: Client, request: AnyRequest) -> Result | None:
        """Answer a request within this call; None if it has to wait."""

    def release_client(self, client: Client) -> None:
        """Release everything of a client that has disconnected, or was disconnected."""


class Client:
    """One connected client.

    Args:
        sock: Its connection.
        handler: Answers its requests.
        side: The protocol's state.
        refusal: Returns why a client that has greeted is not served; empty if it is.

    Attributes:
        number: Counts connections; never reused.
        side: The protocol's state.
        peer: Its process and user.
    """

    _connections = itertools.count(1)

    def __init__(
        self,
        sock: socket.socket,
        handler: RequestHandler,
        side: HostSide,
        refusal: Callable[[], str] = lambda: "",
    ) -> None:
        sock.setblocking(False)
        self._refusal = refusal
        self.number = next(self._connections)
        self.side = side
        self.peer = peer_of(sock)
        self.closed = False
        self._sock = sock
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[OutgoingData] = deque()
        self._unsent_bytes = 0
        self._tasks: dict[asyncio.Task[None], NumberedRequest] = {}
        # Read, not started yet; the last chunk read can exceed the limit.
        self._waiting: deque[NumberedRequest] = deque()
        # Set while nothing is read: notices that the client has disconnected.
        self._disconnect_poll: select.epoll | None = None
        self._loop.add_reader(sock, self._readable)
        self._greeting = self._loop.call_later(GREETING_TIMEOUT, self._not_greeted)

    def __str__(self) -> str:
        name = self.side.client or "a client"
        return f"{name} (connection {self.number}, process {self.peer.pid})"

    def send(self, message: Message, descriptors: tuple[int, ...] = (), *, number: int = 0) -> None:
        """Send one message, now or as soon as the client reads. Does nothing once closed.

        Args:
            message: The message.
            descriptors: Sent with it; they stay open here.
            number: Of the request that it answers; 0 for a notice.
        """
        if not self.closed:
            self.side.send(message, descriptors, number=number)
            self._flush()

    def _take_request(self, numbered: NumberedRequest) -> None:
        """Answer a request, now or after earlier ones."""
        if isinstance(numbered.request, Cancel):
            self._cancel(numbered.number)
        else:
            self._waiting.append(numbered)
        self._begin_waiting()

    def _cancel(self, number: int) -> None:
        """Cancel a request, unless it only releases."""
        for task, open_request in self._tasks.items():
            if open_request.number == number and not open_request.request.only_releases:
                task.cancel()
        for waiting in [each for each in self._waiting if each.number == number]:
            if not waiting.request.only_releases:
                self._waiting.remove(waiting)
                self._fail(number, KjuError(_CANCELLED))

    def _begin_waiting(self) -> None:
        while self._waiting and len(self._tasks) < MAX_REQUESTS:
            numbered = self._waiting.popleft()
            if not self._tasks and self._answer_at_once(numbered):
                continue
            task = self._loop.create_task(self._answer(numbered))
            self._tasks[task] = numbered
            task.add_done_callback(self._answered)
        enough = len(self._waiting) > MAX_WAITING
        if enough != (self._disconnect_poll is not None):
            self._stop_reading() if enough else self._resume_reading()

    def _answered(self, task: asyncio.Task[None]) -> None:
        number = self._tasks.pop(task).number
        if task.cancelled():
            # Not in `_answer`: a task that is cancelled before its first step does not run at all.
            self._fail(number, KjuError(_CANCELLED))
        if not self.closed:
            self._begin_waiting()

    def _answer_at_once(self, numbered: NumberedRequest) -> bool:
        """Answer a request in this turn of the loop, unless it has to wait.

        A task would cost it another turn. This is done only while the client has no other request
        open, so that its requests start in order.
        """
        try:
            result = self._handler.handle_at_once(self, numbered.request)
        except Exception as error:
            self._report(numbered, error)
            return True
        if result is None:
            return False
        self.send(*result, number=numbered.number)
        return True

    def _stop_reading(self) -> None:
        """Stop reading the client's bytes; its disconnection is still noticed."""
        log.info("%s has %d requests waiting: it is not read for now", self, len(self._waiting))
        self._loop.remove_reader(self._sock)
        # Asyncio has events for readable and writable only, and an unread socket is both.
        self._disconnect_poll = select.epoll()
        self._disconnect_poll.register(self._sock, select.EPOLLRDHUP)
        self._loop.add_reader(self._disconnect_poll, self.close, "")

    def _resume_reading(self) -> None:
        self._close_disconnect_poll()
        self._loop.add_reader(self._sock, self._readable)

    def _close_disconnect_poll(self) -> None:
        if self._disconnect_poll is not None:
            self._loop.remove_reader(self._disconnect_poll)
            self._disconnect_poll.close()
            self._disconnect_poll = None

    async def _answer(self, numbered: NumberedRequest) -> None:
        try:
            result = await self._handler.handle(self, numbered.request)
            self.send(*result, number=numbered.number)
        except Exception as error:
            self._report(numbered, error)

    def _report(self, numbered: NumberedRequest, error: Exception) -> None:
        """Send the client the error of its request, and log it."""
        what = type(numbered.request).__name__
        if isinstance(error, KjuError):
            log.info("%s: %s refused: %s", self, what, error)
            self._fail(numbered.number, error)
        else:
            # A bug of ours must not end the machine, nor leave the client waiting.
            log.error("%s: %s failed", self, what, exc_info=error)
            message = f"the host failed at {what}; its log has the details"
            self._fail(numbered.number, KjuError(message))

    def _fail(self, number: int, error: KjuError) -> None:
        self.send(failure(error), number=number)

    def _not_greeted(self) -> None:
        if self.side.role is None:
            self.refuse(f"it has not greeted in {GREETING_TIMEOUT:g} s")

    def refuse(self, reason: str) -> None:
        """Send the reason, then disconnect."""
        log.warning("%s is refused: %s", self, reason)
        self.send(Refused(reason=reason))
        self.close(reason)

    def _readable(self) -> None:
        try:
            # Plain recv: descriptors that a client sends are dropped by the kernel.
            data = self._sock.recv(_CHUNK)
            if not data:
                self.close("")
                return
            for numbered in self.side.receive_data(data):
                if isinstance(numbered.request, Hello) and (reason := self._refusal()):
                    self.refuse(reason)
                    return
                self._take_request(numbered)
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

    def _send_one(self, out: OutgoingData) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", out.descriptors))]
        sent = self._sock.sendmsg(
            [out.data], rights if out.descriptors else [], socket.MSG_NOSIGNAL
        )
        # The descriptors were sent with the first byte.
        self._unsent.popleft()
        self._unsent_bytes -= sent
        if sent < len(out.data):
            self._unsent.appendleft(OutgoingData(out.data[sent:]))

    def close(self, reason: str) -> None:
        """Disconnect, for a reason; empty if the client did. A second call does nothing."""
        if self.closed:
            return
        self.closed = True
        log.info("%s %s", self, f"is disconnected: {reason}" if reason else "disconnected")
        self._greeting.cancel()
        self._waiting.clear()
        self._close_disconnect_poll()
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for task in self._tasks:
            task.cancel()
        self._handler.release_client(self)

    @property
    def idle(self) -> bool:
        """True if everything has been sent."""
        return self.closed or not self._unsent


def _turn_away(sock: socket.socket, reason: str) -> None:
    """Send a new connection the reason, and close it."""
    with sock:
        log.warning("process %d was turned away: %s", peer_of(sock).pid, reason)
        # A new socket has room for this, unless its peer has disconnected already.
        with contextlib.suppress(OSError):
            sock.send(pack(Refused(reason=reason)), socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
            # With unread bytes at the close, the kernel would discard the message sent.
            sock.shutdown(socket.SHUT_RD)
            while sock.recv(_CHUNK, socket.MSG_DONTWAIT):
                pass


class ControlServer:
    """Listens on a machine's control socket.

    Attributes:
        clients: The connected clients.
    """

    def __init__(self, path: Path, handler: RequestHandler) -> None:
        self.clients: list[Client] = []
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._sock = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        )
        with Folder.open(path.parent) as folder:
            folder.listen(self._sock, path.name, 64)
        self._loop.add_reader(self._sock, self._accept)

    def adopt(self, sock: socket.socket, side: HostSide) -> Client:
        """Serve a connection that was not accepted by this socket."""
        client = Client(sock, self._handler, side, self._why_full)
        self.clients.append(client)
        return client

    def _why_full(self) -> str:
        """Return why a client that has just greeted is not served; empty if it is."""
        roles = [client.side.role for client in self.clients if not client.closed]
        viewers = roles.count("view")
        return f"it has {MAX_VIEWERS} viewers already" if viewers > MAX_VIEWERS else ""

    def _make_room(self) -> bool:
        """Return whether one more client fits; disconnect one without a greeting if necessary."""
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
            log.error("a connection could not be accepted: %s", descriptor_limit(error) or error)
            self._loop.remove_reader(self._sock)
            self._loop.call_later(1, self._loop.add_reader, self._sock, self._accept)
            return
        peer = peer_of(sock)
        self.clients = [client for client in self.clients if not client.closed]
        if peer.uid not in (os.geteuid(), 0):
            _turn_away(sock, f"it serves user {os.geteuid()} and root, not user {peer.uid}")
        elif not self._make_room():
            _turn_away(sock, f"it has {MAX_CLIENTS} clients already")
        else:
            self.adopt(sock, HostSide())

    def broadcast(self, message: Message) -> None:
        """Send a message to every client that has greeted."""
        for client in list(self.clients):
            if client.side.role is not None:
                client.send(message)

    async def close(self, reason: str) -> None:
        """Stop listening, wait for clients to read their last message, and disconnect them."""
        self._loop.remove_reader(self._sock)
        self._sock.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_READ_TIMEOUT):
                while not all(client.idle for client in self.clients):
                    await asyncio.sleep(0.005)
        for client in list(self.clients):
            client.close(reason)
