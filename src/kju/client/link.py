"""A connection to a host, for programs with threads.

Any number of threads may ask at the same time, and there is no thread of our own: of those
who wait for an answer one reads for all. So a long request (typing) never keeps another
thread's from being sent and answered, and a program that asks nothing costs nothing.
"""

from __future__ import annotations

import array
import os
import select
import socket
import threading
from typing import TypeVar

from ..errors import KjuError, PeerError, WaitTimeoutError
from ..files import lost_descriptors
from ..protocol.framing import MAX_DESCRIPTORS, Answer, ClientSide
from ..protocol.messages import Happened, Hello, Reply, Welcome
from ..protocol.values import Request, Role
from ..store import running
from ..store.connection import connect
from .requests import CLOSED, check_reply, gone_error, gone_reason
from .timeouts import DEFAULT_SECONDS, DEFAULT_TIMEOUT, Timeout, deadline_of, seconds_of, seconds_to

_CHUNK = 64 << 10
#: Milliseconds.
_LONGEST_POLL = 3_600_000.0
_HANG_UP = select.POLLHUP | select.POLLRDHUP | select.POLLERR

T = TypeVar("T", bound=Reply)


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Read once from a connection; the caller owns the descriptors.

    Raises:
        PeerError: More descriptors came than any reply has.
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
    """Close descriptors that nobody wants."""
    for number in descriptors:
        os.close(number)


def only_descriptor(answer: Answer, kind: type[Reply]) -> int:
    """The one descriptor of a reply of this kind.

    Raises:
        PeerError: The reply has no descriptor, or several.
        KjuError: The reply is a failure.
    """
    reply, descriptors = answer
    try:
        check_reply(reply, kind)
        if len(descriptors) != 1:
            raise PeerError(f"memory came with {len(descriptors)} descriptors", reply)
    except KjuError:
        close_all(descriptors)
        raise
    return descriptors[0]


class Link:
    """One connection to one machine's host.

    Attributes:
        name: The machine's name.
        welcome: The host's first message.
        default_timeout: Seconds for the host to answer a request, beyond what the request itself
            takes; None for no limit. It answers in well under a millisecond, unless QEMU keeps it
            waiting (5 s).
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
        self._answers: dict[int, Answer] = {}
        self._unwanted: set[int] = set()
        self._dead = ""

    @classmethod
    def attach(cls, name: str, role: Role, client: str, timeout: float = DEFAULT_SECONDS) -> Link:
        """Connect to a running machine and say hello.

        Args:
            name: The machine's.
            role: What this client may do.
            client: Its name, for the list of clients.
            timeout: Seconds for the host to answer this and each request after it.

        Raises:
            MachineNotFoundError: None of this name runs.
            MachineGoneError: It ended at this moment.
            PeerError: What answers is no host of this version.
            WaitTimeoutError: The host does not answer.
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
        wanted: type[T],
        extra: float = 0.0,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> T:
        """Send a request and return its reply, which has no descriptors.

        Args:
            request: The request.
            wanted: The kind of its reply.
            extra: Seconds that the request takes by itself, beyond the timeout.
            timeout: Seconds; None for no limit.

        Raises:
            KjuError: What the host answered.
            MachineGoneError: The machine has ended.
            WaitTimeoutError: No answer came.
            ClosedError: This process has closed the connection.
        """
        seconds = seconds_of(timeout, self.default_timeout)
        reply, descriptors = self.call(request, None if seconds is None else seconds + extra)
        close_all(descriptors)
        return check_reply(reply, wanted)

    def call(self, request: Request, timeout: Timeout = DEFAULT_TIMEOUT) -> Answer:
        """Send a request and return any reply; the caller owns its descriptors."""
        seconds = seconds_of(timeout, self.default_timeout)
        deadline = deadline_of(seconds)
        with self._turn:
            self._raise_if_dead()
            number, data = self._side.request(request)
            self._send(data, deadline)
            try:
                while number not in self._answers:
                    # An answer that came before the end counts; the end is looked at second.
                    self._raise_if_dead()
                    self._wait_or_read(deadline)
                return self._answers.pop(number)
            except BaseException:
                self._unwanted.add(number)
                self._cancel(number)
                raise

    def _cancel(self, number: int) -> None:
        """Tell the host that nobody waits, unless that would take time."""
        if not self._dead:
            try:
                # Less than a page, so the kernel takes all of it or nothing (unix(7)).
                self._sock.send(self._side.cancel(number), socket.MSG_NOSIGNAL)
            except OSError:
                pass  # it is done for nobody then

    def _send(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view, socket.MSG_NOSIGNAL) :]
            except (BlockingIOError, InterruptedError):
                if not self._poll(select.POLLOUT, deadline):
                    # Half a request has gone: this connection is of no more use.
                    self._die(f"the host of {self.name!r} does not read")
                    raise WaitTimeoutError(self._dead) from None
            except OSError:
                # It may have said why before it hung up; that is still to be read.
                return

    def _wait_or_read(self, deadline: float | None) -> None:
        """Let another thread read, or read for everybody; returns when something happened."""
        if self._reading:
            if not self._turn.wait(seconds_to(deadline)):
                raise self._late()
            return
        self._reading = True
        self._turn.release()
        try:
            ready = self._poll(select.POLLIN, deadline)
        finally:
            self._turn.acquire()
            self._reading = False
            # Whoever waits takes over the reading, whether this thread goes on or not.
            self._turn.notify_all()
        if not ready:
            raise self._late()
        self._take()

    def _late(self) -> WaitTimeoutError:
        return WaitTimeoutError(f"the host of {self.name!r} did not answer in time")

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

    def _take(self) -> None:
        """Read what there is."""
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
        """Why the machine is known to be gone, or None. Never waits; under 2 us."""
        if self._dead:
            return self._dead
        if self._turn.acquire(blocking=False):
            try:
                if not self._reading:
                    self._look()
            finally:
                self._turn.release()
        return self._dead or None

    def _look(self) -> None:
        """Notice a hang-up, and read the host's last word before it."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN | select.POLLRDHUP)
        while not self._dead:
            events = poll.poll(0)
            if not events:
                return
            self._take()

    def wait_ended(self, seconds: float | None) -> bool:
        """Wait until the host has hung up; returns whether it has."""
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
            deadline: Of `time.monotonic`; None for none.

        Raises:
            WaitTimeoutError: None came.
            MachineGoneError: The machine has ended; every event before has been taken.
            ClosedError: This process has closed the connection.
        """
        with self._turn:
            while not self._side.happened:
                self._raise_if_dead()
                self._wait_or_read(deadline)
            return self._side.happened.popleft()

    def close(self) -> None:
        """Hang up. Threads that wait for an answer get a `ClosedError`."""
        with self._turn:
            if self._sock.fileno() < 0:
                return
            self._die(CLOSED)
            try:
                # Wakes the thread that polls.
                self._sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the host was faster
            while self._reading:
                self._turn.wait(0.1)
            self._sock.close()
            for answer in self._answers.values():
                close_all(answer.descriptors)
            self._answers.clear()
            close_all(self._side.unclaimed())
