"""The listener's socket: authentication, answers before work, never a blocking send.

We are the client of the authentication on this socket too, though QEMU calls us.
"""

from __future__ import annotations

import array
import select
import socket
import time

from ...errors import PeerError
from ...files import lost_descriptors
from ...memory.descriptor import Descriptor
from ._jeepney import auth
from .events import Event
from .frames import MAX_FDS, Splitter
from .listener import Listener

AUTH_TIMEOUT = 10.0
"""Seconds for QEMU to answer the three lines of authentication. It does so from the call that
registers the listener, so the host's own work until then counts too."""

MAX_UNSENT = 64 << 10
"""Bytes of answers that may wait for a peer that does not read; each is under 200."""

SEND_BUFFER = 4 << 20
"""Asked for at the end given to QEMU: fewer wake-ups per frame where the system allows it."""

FLAGS = socket.MSG_CMSG_CLOEXEC
"""For recvmsg: what QEMU hands us is for this process, and not for those it starts."""


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """A pair for RegisterListener: ours, and the one to hand over."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return ours, theirs


class Channel:
    """One listener's connection, used by one thread.

    Attributes:
        listener: What was learned so far.
        closed: QEMU has hung up.
    """

    def __init__(self, sock: socket.socket, maps: bool = True) -> None:
        self.sock = sock
        self.listener = Listener(maps)
        self.closed = False
        self._splitter = Splitter()
        self._unsent = bytearray()

    @property
    def waits_to_send(self) -> bool:
        """Whether answers wait until the socket is writable."""
        return bool(self._unsent)

    def authenticate(self) -> None:
        """Say who we are and that descriptors may be passed.

        Raises:
            PeerError: QEMU does not agree, or hangs up.
            TimeoutError: It does not answer.
        """
        deadline = time.monotonic() + AUTH_TIMEOUT
        talk = auth.Authenticator(enable_fds=True)
        try:
            for line in talk:
                self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
                if line:
                    self.sock.sendall(line)
                data = self.sock.recv(1024)
                if not data:
                    raise PeerError("QEMU hung up while we authenticated")
                talk.feed(data)
        except auth.AuthenticationError as error:
            said = f"QEMU refused the listener: {error}"[:300]
            raise PeerError(said, error.data) from error
        self.sock.sendall(auth.BEGIN)
        self.sock.setblocking(False)

    def receive(self) -> list[Event] | None:
        """Read once, send the answers, return the events; None when nothing is there to read.

        The events' pixels are valid until the next call.

        Raises:
            PeerError: The stream cannot be followed, or QEMU does not read its answers.
        """
        try:
            count, ancillary, flags, _ = self.sock.recvmsg_into(
                [self._splitter.get_buffer()], socket.CMSG_SPACE(4 * MAX_FDS), FLAGS
            )
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionError:
            count, ancillary, flags = 0, [], 0
        fds = [Descriptor(fd) for fd in received_fds(ancillary)]
        if flags & socket.MSG_CTRUNC:
            raise lost_descriptors() or PeerError(f"more than {MAX_FDS} descriptors came at once")
        if not count:
            self.closed = True
            return None
        outcomes = [self.listener.receive(m) for m in self._splitter.received(count, fds)]
        reply = b"".join(outcome.reply for outcome in outcomes)
        if reply:
            self.send(reply)
        return [event for outcome in outcomes for event in outcome.events]

    def send(self, data: bytes = b"") -> None:
        """Send answers as far as the socket takes them; call it again when it is writable.

        Raises:
            PeerError: Too many wait.
        """
        self._unsent += data
        try:
            sent = self.sock.send(self._unsent, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # It hung up; what it sent before that is still worth reading, and the end is seen
            # there.
            sent = len(self._unsent)
        del self._unsent[:sent]
        if len(self._unsent) > MAX_UNSENT:
            raise PeerError(f"QEMU does not read: {len(self._unsent)} bytes of answers wait")

    def wait(self, timeout: float | None, wake: int) -> bool:
        """Sleep until there is something to receive or *wake* is readable.

        Returns:
            Whether something happened, rather than the time ending.
        """
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        poll.register(wake, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0.0, timeout) * 1000))


def received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors in what recvmsg returned; the caller owns them."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)
