"""A connection to a host, for asyncio: the protocol of `kju.client.link` in an event loop."""

from __future__ import annotations

import asyncio
import socket

from ...errors import PeerError, WaitTimeoutError
from ...protocol.framing import ClientSide, ReceivedReply
from ...protocol.messages import Ended, Happened, Hello, Welcome
from ...protocol.values import Request, Role
from ...store import running
from ...store.running import connect
from ..link import DEFAULT_SECONDS, DEFAULT_TIMEOUT, Timeout, close_all, receive, seconds_of
from ..requests import CLOSED, ReplyT, check_reply, gone_error, gone_reason, no_answer, no_event

#: Seconds between two attempts to connect to a host whose queue is full.
_QUEUE_SECONDS = 0.05


async def _connect(name: str) -> socket.socket:
    """Connect to a machine. This waits only while the queue of its socket is full."""
    machine = running.find(name)
    deadline = asyncio.get_running_loop().time() + DEFAULT_SECONDS
    while True:
        try:
            return connect(machine, name, 0.0)
        except WaitTimeoutError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_QUEUE_SECONDS)


class AsyncLink:
    """One connection to one machine's host, used by one event loop.

    Attributes:
        name: The machine's name.
        welcome: The host's first message.
        default_timeout: Seconds for the reply to a request, in addition to the time that the
            request itself takes; None for no limit.
        ended: Set once the connection has ended.
    """

    welcome: Welcome

    def __init__(self, sock: socket.socket, name: str) -> None:
        """Use `attach`; or `call` a `Launch` first."""
        sock.setblocking(False)
        self.name = name
        self.default_timeout: float | None = DEFAULT_SECONDS
        self.ended: asyncio.Event = asyncio.Event()
        self._sock = sock
        self._side = ClientSide()
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._waiting: dict[int, asyncio.Future[ReceivedReply]] = {}
        self._dead = ""
        self._news = asyncio.Event()
        self._loop.add_reader(sock, self._readable)

    @classmethod
    async def attach(cls, name: str, role: Role, client: str) -> AsyncLink:
        """Connect to a running machine.

        Raises:
            MachineNotFoundError: No machine of this name is running.
            MachineGoneError: It ended at this moment.
            PeerError: The socket is not that of a host of this version.
        """
        link = cls(await _connect(name), name)
        try:
            link.welcome = await link.ask(Hello(role=role, client=client), Welcome)
        except BaseException:
            link.close()
            raise
        return link

    async def ask(
        self,
        request: Request,
        wanted: type[ReplyT],
        extra: float = 0.0,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> ReplyT:
        """Send a request and return its reply, which has no descriptors: see `Link.ask`.

        Raises:
            KjuError: The host replied with this error.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: No reply arrived in time.
            ClosedError: This program has closed the connection.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        reply, descriptors = await self.call(request, None if seconds is None else seconds + extra)
        close_all(descriptors)
        return check_reply(reply, wanted)

    async def call(self, request: Request, timeout: Timeout = DEFAULT_TIMEOUT) -> ReceivedReply:
        """Send a request and return any reply; the caller owns its descriptors.

        May be cancelled.
        """
        return await self.finish(self.begin(request), timeout)

    def begin(self, request: Request) -> int:
        """Send a request; return its number for `finish`."""
        if self._dead:
            raise gone_error(self.name, self._dead)
        number, data = self._side.request(request)
        self._waiting[number] = self._loop.create_future()
        self._send(data)
        return number

    async def finish(self, number: int, timeout: Timeout = DEFAULT_TIMEOUT) -> ReceivedReply:
        """Return the reply to a request that was begun; the caller owns its descriptors."""
        seconds = seconds_of(timeout, self.default_timeout)
        answer = self._waiting[number]
        delivered = False
        try:
            async with asyncio.timeout(seconds):
                got = await answer
            # The caller gets the reply now: no other task runs in between.
            delivered = True
            return got
        except TimeoutError:
            raise no_answer(self.name) from None
        finally:
            # The descriptors of a later reply are closed on arrival.
            self._waiting.pop(number, None)
            if not delivered:
                if not answer.done() or answer.cancelled():
                    self._cancel(number)
                _drop(answer)

    def _cancel(self, number: int) -> None:
        """Cancel a request at the host."""
        if not self._dead:
            self._send(self._side.cancel(number))

    def _send(self, data: bytes) -> None:
        """Send a request after those in the queue, now or as soon as the host reads.

        Requests are sent whole, even after their calls were cancelled: the connection cannot be
        used after half a request.
        """
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._sock, self._flush)
            return
        except OSError:
            # The host may have sent the reason before it closed: that is still to be read.
            self._unsent.clear()
        self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        try:
            data, descriptors = receive(self._sock)
            answers = self._side.receive_data(data, descriptors)
        except (BlockingIOError, InterruptedError):
            return
        except PeerError as error:
            self._end(str(error))
            return
        except OSError:
            data, answers = b"", []
        if self._side.happened:
            self._news.set()
        for number, answer in answers:
            waiting = self._waiting.get(number)
            if waiting is None or waiting.done():
                close_all(answer.descriptors)
            else:
                waiting.set_result(answer)
        if not data:
            self._end(gone_reason(self.name, self._side.ended, self._side.refused))

    def _end(self, reason: str) -> None:
        if self._dead:
            return
        self._dead = reason
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        close_all(self._side.unclaimed())
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(gone_error(self.name, reason))
        self.ended.set()
        self._news.set()

    async def wait_ended(self, seconds: float | None) -> bool:
        """Wait until the connection has ended; return True once it has."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            pass
        return self.ended.is_set()

    async def next_event(self, timeout: float | None) -> Happened:
        """Wait for an event that was subscribed to, and take it.

        Raises:
            WaitTimeoutError: No event arrived in time.
            MachineGoneError: The machine has ended, and all events before that have been taken.
            ClosedError: This program has closed the connection.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._side.happened:
                    if self._dead:
                        raise gone_error(self.name, self._dead)
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise no_event(self.name, timeout) from None
        return self._side.happened.popleft()

    def gone(self) -> str | None:
        """Return why the machine is known to have ended, or None."""
        return self._dead or None

    @property
    def last_message(self) -> Ended | None:
        """The host's message about the end of the machine; None without one."""
        return self._side.ended

    def close(self) -> None:
        """Close the connection. Waiting calls get a `ClosedError`. A second call does nothing."""
        self._end(CLOSED)


def _drop(answer: asyncio.Future[ReceivedReply]) -> None:
    """Close the descriptors of a reply that was not taken."""
    if answer.done() and not answer.cancelled() and answer.exception() is None:
        close_all(answer.result().descriptors)
