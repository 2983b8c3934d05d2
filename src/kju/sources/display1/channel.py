"""SHELL: the listener's socket: authentication, replies before work, never a blocking send.

kju is the client of the authentication on this socket too, although QEMU makes the calls.
"""

from __future__ import annotations

import array
import select
import socket
import time

from ...errors import PeerError
from ...files import lost_descriptors
from ...memory.shared import Descriptor
from ._jeepney import auth
from .events import Event
from .frames import MAX_FDS, Splitter
from .listener import DisplayListener

#: Seconds for QEMU to answer the three lines of authentication. It does so from the call that
#: registers the listener, so the host's own work until then counts too.
AUTH_TIMEOUT = 10.0
#: Bytes of replies that may wait for a peer that does not read; each is under 200.
MAX_UNSENT = 64 << 10
#: Send buffer of the end given to QEMU: fewer wake-ups per frame where the system allows it.
SEND_BUFFER = 4 << 20
#: For recvmsg: programs that this process starts do not inherit QEMU's descriptors.
FLAGS = socket.MSG_CMSG_CLOEXEC


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return a pair for RegisterListener: this end, and the end for QEMU."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return ours, theirs


class Channel:
    """One listener's connection, used by one thread.

    Attributes:
        listener: The state of the protocol.
        closed: Whether QEMU has hung up.
    """

    def __init__(self, sock: socket.socket, maps: bool = True) -> None:
        self.sock = sock
        self.listener = DisplayListener(maps)
        self.closed = False
        self._splitter = Splitter()
        self._unsent = bytearray()

    @property
    def waits_to_send(self) -> bool:
        """Whether replies wait until the socket is writable."""
        return bool(self._unsent)

    def authenticate(self) -> None:
        """Authenticate, and agree on passing descriptors.

        Raises:
            PeerError: QEMU rejects it, or hangs up.
            TimeoutError: QEMU does not answer in `AUTH_TIMEOUT`.
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
                    raise PeerError("QEMU hung up during the authentication")
                talk.feed(data)
        except auth.AuthenticationError as error:
            reason = f"QEMU rejected the listener: {error}"[:300]
            raise PeerError(reason, error.data) from error
        self.sock.sendall(auth.BEGIN)
        self.sock.setblocking(False)

    def receive(self) -> list[Event] | None:
        """Read once, send the replies and return the events; None when nothing is readable.

        The events' pixels are valid until the next call.

        Raises:
            PeerError: The stream is not valid, or QEMU does not read its replies.
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
            raise lost_descriptors() or PeerError(
                f"more than {MAX_FDS} descriptors arrived at once"
            )
        if not count:
            self.closed = True
            return None
        outcomes = [self.listener.receive(m) for m in self._splitter.received(count, fds)]
        reply = b"".join(outcome.reply for outcome in outcomes)
        if reply:
            self.send(reply)
        return [event for outcome in outcomes for event in outcome.events]

    def send(self, data: bytes = b"") -> None:
        """Send as many replies as the socket takes; call again when it is writable.

        Raises:
            PeerError: More than `MAX_UNSENT` bytes wait.
        """
        self._unsent += data
        try:
            sent = self.sock.send(self._unsent, socket.MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            # QEMU hung up. Its last messages are still to be read; reading meets the end.
            sent = len(self._unsent)
        del self._unsent[:sent]
        if len(self._unsent) > MAX_UNSENT:
            raise PeerError(f"QEMU does not read: {len(self._unsent)} bytes of replies wait")

    def wait(self, timeout: float | None, wake: int) -> bool:
        """Sleep until there is something to receive or *wake* is readable.

        Returns:
            False if the timeout passed first.
        """
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        poll.register(wake, select.POLLIN)
        return bool(poll.poll(None if timeout is None else max(0.0, timeout) * 1000))


def received_fds(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors in the ancillary data of recvmsg; the caller owns them."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)
