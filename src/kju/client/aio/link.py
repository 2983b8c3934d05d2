"""A connection to a host, for asyncio: the same protocol as `link`, in an event loop."""

from __future__ import annotations

import asyncio
import socket
from typing import TypeVar

from ...errors import PeerError, WaitTimeoutError
from ...protocol.framing import Answer, ClientSide
from ...protocol.messages import Happened, Hello, Reply, Welcome
from ...protocol.values import Request, Role
from ...store import running
from ...store.connection import connect
from ..link import close_all, receive
from ..requests import CLOSED, check_reply, gone_error, gone_reason
from ..timeouts import DEFAULT_SECONDS, DEFAULT_TIMEOUT, Timeout, seconds_of

T = TypeVar("T", bound=Reply)

#: Between two attempts to connect to a host that lets nobody in.
_QUEUE_SECONDS = 0.05


async def _connect(name: str) -> socket.socket:
    """Connect to a machine. Only where its socket queues no more clients does this take time."""
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
        default_timeout: Seconds for the host to answer a request, beyond what the request itself
            takes; None for no limit.
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
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._dead = ""
        self._news = asyncio.Event()
        self._loop.add_reader(sock, self._readable)

    @classmethod
    async def attach(cls, name: str, role: Role, client: str) -> AsyncLink:
        """Connect to a running machine and say hello.

        Raises:
            MachineNotFoundError: None of this name runs.
            MachineGoneError: It ended at this moment.
            PeerError: What answers is no host of this version.
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
        wanted: type[T],
        extra: float = 0.0,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> T:
        """Send a request and return its reply, which has no descriptors: see `Link.ask`.

        Raises:
            KjuError: What the host answered.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: No answer came.
            ClosedError: This program has closed the connection.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        reply, descriptors = await self.call(request, None if seconds is None else seconds + extra)
        close_all(descriptors)
        return check_reply(reply, wanted)

    async def call(self, request: Request, timeout: Timeout = DEFAULT_TIMEOUT) -> Answer:
        """Send a request and return any reply; the caller owns its descriptors.

        May be cancelled.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        if self._dead:
            raise gone_error(self.name, self._dead)
        number, data = self._side.request(request)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[number] = answer
        delivered = False
        try:
            self._send(data)
            async with asyncio.timeout(seconds):
                got = await answer
            # From here to the caller nothing can come between.
            delivered = True
            return got
        except TimeoutError:
            raise WaitTimeoutError(f"the host of {self.name!r} did not answer in time") from None
        finally:
            # An answer that comes later finds nobody, and its descriptors are closed.
            self._waiting.pop(number, None)
            if not delivered:
                if not answer.done() or answer.cancelled():
                    self._cancel(number)
                _drop(answer)

    def _cancel(self, number: int) -> None:
        """Tell the host that nobody waits."""
        if not self._dead:
            self._send(self._side.cancel(number))

    def _send(self, data: bytes) -> None:
        """Send a request behind those that wait already, now or as soon as the host reads.

        Requests go one after the other, and whole: half a request would leave the connection
        of no use, so what becomes of the call that made one does not matter here.
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
            # It may have said why before it hung up; that is still to be read.
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
        """Wait until the connection has ended; returns whether it has."""
        try:
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        except TimeoutError:
            pass
        return self.ended.is_set()

    async def next_event(self, timeout: float | None) -> Happened:
        """Wait for an event that was subscribed to, and take it.

        Raises:
            WaitTimeoutError: None came.
            MachineGoneError: The machine has ended; every event before has been taken.
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
            raise WaitTimeoutError(f"nothing happened to {self.name!r} in {timeout:g} s") from None
        return self._side.happened.popleft()

    def gone(self) -> str | None:
        """Why the machine is known to be gone, or None."""
        return self._dead or None

    def close(self) -> None:
        """Hang up. Calls that wait get a `ClosedError`. A second call does nothing."""
        self._end(CLOSED)


def _drop(answer: asyncio.Future[Answer]) -> None:
    """Close the descriptors of an answer that came and was not taken."""
    if answer.done() and not answer.cancelled() and answer.exception() is None:
        close_all(answer.result().descriptors)
