"""A connection to a host, for programs with threads, and the timeouts of all calls.

Any number of threads may send requests at the same time. There is no reader thread: one of the
threads that wait for a reply reads for all of them. So a long request (typing) does not delay those
of other threads, and an idle connection costs nothing.
"""

from __future__ import annotations

import array
import enum
import math
import os
import select
import socket
import threading
import time
from typing import Final, Literal, TypeAlias

from ..errors import KjuError, PeerError, UsageError, WaitTimeoutError
from ..files import lost_descriptors
from ..protocol.framing import MAX_DESCRIPTORS, ClientSide, ReceivedReply
from ..protocol.messages import Happened, Hello, Welcome
from ..protocol.values import Reply, Request, Role
from ..store import running
from ..store.running import connect
from .requests import (
    CLOSED,
    ReplyT,
    check_reply,
    gone_error,
    gone_reason,
    host_words,
    no_answer,
)

_CHUNK = 64 << 10
#: Milliseconds.
_LONGEST_POLL = 3_600_000.0

#: Seconds of a call without *timeout*, unless the program sets another default.
DEFAULT_SECONDS = 30.0


class _Marker(enum.Enum):
    DEFAULT_TIMEOUT = enum.auto()

    def __repr__(self) -> str:
        return self.name


#: The value of *timeout* that stands for `default_timeout` of the machine or surface.
DEFAULT_TIMEOUT: Final = _Marker.DEFAULT_TIMEOUT
#: Seconds; None for no limit.
Timeout: TypeAlias = float | Literal[_Marker.DEFAULT_TIMEOUT] | None


def seconds_of(timeout: Timeout, default: float | None) -> float | None:
    """Return the seconds of a timeout, or None for no limit.

    Raises:
        UsageError: *timeout* is negative or not a number.
    """
    if timeout is DEFAULT_TIMEOUT:
        return default
    if timeout is not None and not timeout >= 0:
        raise UsageError(f"timeout must be 0 or more seconds, or None for no limit, not {timeout}")
    # A deadline at infinity is no deadline, and no system call takes one.
    return None if timeout is None or math.isinf(timeout) else timeout


def deadline_of(seconds: float | None) -> float | None:
    """Return the time of `time.monotonic` at which *seconds* from now are over."""
    return None if seconds is None else time.monotonic() + seconds


def seconds_to(deadline: float | None) -> float | None:
    """Return the seconds that are left until a deadline, at least 0; None without one."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


# ---- Connections


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Read once from a connection; the caller owns the descriptors.

    Raises:
        PeerError: The message has more descriptors than any reply.
    """
    data, ancillary, flags, _ = sock.recvmsg(
        _CHUNK, socket.CMSG_SPACE(4 * MAX_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
    )
    numbers = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    if flags & socket.MSG_CTRUNC:
        close_all(numbers)
        raise lost_descriptors() or PeerError("the host sent more descriptors than any reply has")
    return data, list(numbers)


def close_all(descriptors: list[int] | array.array[int] | tuple[int, ...]) -> None:
    """Close descriptors of no use."""
    for number in descriptors:
        os.close(number)


def only_descriptor(answer: ReceivedReply, kind: type[Reply]) -> int:
    """Return the only descriptor of a reply of a kind.

    Raises:
        PeerError: The reply has no descriptor, or more than one.
        KjuError: The reply is a failure.
    """
    reply, descriptors = answer
    try:
        check_reply(reply, kind)
        if len(descriptors) != 1:
            raise PeerError(f"the reply has {len(descriptors)} descriptors, not one", reply)
    except KjuError:
        close_all(descriptors)
        raise
    return descriptors[0]


class Link:
    """One connection to one machine's host.

    Attributes:
        name: The machine's name.
        welcome: The host's first message.
        default_timeout: Seconds for the reply to a request, in addition to the time that the
            request itself takes; None for no limit. A host replies within a millisecond, unless it
            waits for QEMU (5 s).
    """

    welcome: Welcome

    def __init__(
        self, sock: socket.socket, name: str, timeout: float | None = DEFAULT_SECONDS
    ) -> None:
        """Use `attach`; or `call` a `Launch` first."""
        sock.setblocking(False)
        self.default_timeout = timeout
        self.name = name
        self._sock = sock
        self._side = ClientSide()
        self._turn = threading.Condition(threading.Lock())
        self._reading = False
        self._answers: dict[int, ReceivedReply] = {}
        self._unwanted: set[int] = set()
        self._dead = ""

    @classmethod
    def attach(cls, name: str, role: Role, client: str, timeout: float = DEFAULT_SECONDS) -> Link:
        """Connect to a running machine.

        Args:
            name: The machine's name.
            role: The role of this client.
            client: Its name, for the list of clients.
            timeout: Seconds for the reply to this request and to each later one.

        Raises:
            MachineNotFoundError: No machine of this name is running.
            MachineGoneError: It ended at this moment.
            PeerError: The socket is not that of a host of this version.
            WaitTimeoutError: The host does not reply.
        """
        link = cls(connect(running.find(name), name, timeout), name, timeout)
        try:
            link.welcome = link.ask(Hello(role=role, client=client), Welcome)
        except BaseException:
            link.close()
            raise
        return link

    def ask(
        self,
        request: Request,
        wanted: type[ReplyT],
        extra: float = 0.0,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> ReplyT:
        """Send a request and return its reply, which has no descriptors.

        Args:
            request: The request.
            wanted: The kind of its reply.
            extra: Seconds that the request itself takes, in addition to the timeout.
            timeout: Seconds; None for no limit.

        Raises:
            KjuError: The host replied with this error.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: No reply arrived in time.
            ClosedError: This process has closed the connection.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        reply, descriptors = self.call(request, None if seconds is None else seconds + extra)
        close_all(descriptors)
        return check_reply(reply, wanted)

    def call(self, request: Request, timeout: Timeout = DEFAULT_TIMEOUT) -> ReceivedReply:
        """Send a request and return any reply; the caller owns its descriptors."""
        return self.finish(self.begin(request, timeout), timeout)

    def begin(self, request: Request, timeout: Timeout = DEFAULT_TIMEOUT) -> int:
        """Send a request; return its number for `finish`."""
        deadline = deadline_of(seconds_of(timeout, self.default_timeout))
        with self._turn:
            self._raise_if_dead()
            number, data = self._side.request(request)
            self._send(data, deadline)
            return number

    def finish(self, number: int, timeout: Timeout = DEFAULT_TIMEOUT) -> ReceivedReply:
        """Return the reply to a request that was begun; the caller owns its descriptors."""
        deadline = deadline_of(seconds_of(timeout, self.default_timeout))
        with self._turn:
            try:
                while number not in self._answers:
                    # A reply that arrived before the end counts, so the end is checked second.
                    self._raise_if_dead()
                    self._wait_or_read(deadline)
                return self._answers.pop(number)
            except BaseException:
                self._unwanted.add(number)
                self._cancel(number)
                raise

    def _cancel(self, number: int) -> None:
        """Cancel a request at the host, unless sending would block."""
        if not self._dead:
            try:
                # Less than a page, so the kernel takes all of it or nothing (unix(7)).
                self._sock.send(self._side.cancel(number), socket.MSG_NOSIGNAL)
            except OSError:
                pass  # the host does it all the same

    def _send(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view, socket.MSG_NOSIGNAL) :]
            except (BlockingIOError, InterruptedError):
                if not self._poll(select.POLLOUT, deadline):
                    # Half a request has been sent: the connection can no longer be used.
                    self._die(f"{host_words(self.name)} does not read")
                    raise WaitTimeoutError(self._dead) from None
            except OSError:
                # The host may have sent the reason before it closed: that is still to be read.
                return

    def _wait_or_read(self, deadline: float | None) -> None:
        """Wait while another thread reads, or read for all threads; return after either."""
        if self._reading:
            if not self._turn.wait(seconds_to(deadline)):
                raise no_answer(self.name)
            return
        self._reading = True
        self._turn.release()
        try:
            ready = self._poll(select.POLLIN, deadline)
        finally:
            self._turn.acquire()
            self._reading = False
            # One of the waiting threads reads next, whether this one goes on or not.
            self._turn.notify_all()
        if not ready:
            raise no_answer(self.name)
        self._receive()

    def _poll(self, events: int, deadline: float | None) -> bool:
        poll = select.poll()
        poll.register(self._sock, events)
        while True:
            left = seconds_to(deadline)
            # poll() takes at most 2**31 milliseconds.
            if poll.poll(_LONGEST_POLL if left is None else min(left * 1000, _LONGEST_POLL)):
                return True
            if seconds_to(deadline) == 0.0:
                return False

    def _receive(self) -> None:
        """Read once, and file the replies."""
        if self._dead:
            return
        try:
            data, descriptors = receive(self._sock)
            answers = self._side.receive_data(data, descriptors)
        except (BlockingIOError, InterruptedError):
            return
        except PeerError as error:
            close_all(self._side.unclaimed())
            self._die(str(error))
            return
        except OSError:
            data, answers = b"", []
        for number, answer in answers:
            if number in self._unwanted:
                self._unwanted.discard(number)
                close_all(answer.descriptors)
            else:
                self._answers[number] = answer
        if not data:
            self._die(gone_reason(self.name, self._side.ended, self._side.refused))

    def _die(self, reason: str) -> None:
        self._dead = self._dead or reason
        self._turn.notify_all()

    def _raise_if_dead(self) -> None:
        if self._dead:
            raise gone_error(self.name, self._dead)

    def gone(self) -> str | None:
        """Return why the machine is known to have ended, or None. Never waits; under 2 us."""
        if self._dead:
            return self._dead
        if self._turn.acquire(blocking=False):
            try:
                if not self._reading:
                    self._read_hang_up()
            finally:
                self._turn.release()
        return self._dead or None

    def _read_hang_up(self) -> None:
        """Notice the end of the connection, and read the host's last messages before it."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLRDHUP)
        while not self._dead:
            events = poll.poll(0)
            if not events:
                return
            self._receive()

    def wait_ended(self, seconds: float | None) -> bool:
        """Wait until the host has closed the connection; return True once it has."""
        deadline = deadline_of(seconds)
        with self._turn:
            while not self._dead:
                try:
                    self._wait_or_read(deadline)
                except WaitTimeoutError:
                    return False
        return True

    def next_event(self, deadline: float | None) -> Happened:
        """Wait for an event that was subscribed to, and take it.

        Args:
            deadline: As of `deadline_of`.

        Raises:
            WaitTimeoutError: The deadline has passed.
            MachineGoneError: The machine has ended, and all events before that have been taken.
            ClosedError: This process has closed the connection.
        """
        with self._turn:
            while not self._side.happened:
                self._raise_if_dead()
                self._wait_or_read(deadline)
            return self._side.happened.popleft()

    def close(self) -> None:
        """Close the connection. Threads that wait for a reply get a `ClosedError`."""
        with self._turn:
            if self._sock.fileno() < 0:
                return
            self._die(CLOSED)
            try:
                # Wakes the thread that polls.
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the host closed it first
            while self._reading:
                self._turn.wait(0.1)
            self._sock.close()
            for answer in self._answers.values():
                close_all(answer.descriptors)
            self._answers.clear()
            close_all(self._side.unclaimed())
