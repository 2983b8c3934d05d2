"""SHELL: the serial port that kju adds: one guest, any number of viewers, several writers.

Rules:

- What the guest says is always read, whoever looks: a line that nobody drains stops the guest
  after some 270 bytes.
- The last `KEPT` bytes are shown first to whoever comes.
- A viewer that does not read is hung up on. Writers wait while the guest does not read: nothing
  is lost on the way to it, and no more than `MOST_WAITING` waits here.
- A viewer goes with the client that asked for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket

from ...errors import LimitError
from ..base import SerialClient

log = logging.getLogger(__name__)

#: Bytes of the past: four boots of a Linux 6.1 that tells everything (27 KB, 412 lines).
KEPT = 128 << 10
#: Bytes that wait for a viewer that does not read: 90 seconds of a line at 115200 baud.
MOST_UNREAD = 1 << 20
#: Bytes read at once: what a full pipe of Linux holds (pipe(7)), so that one is one read.
_CHUNK = 64 << 10
#: Bytes that wait for the guest, then writers are not read: one read, which is not cut.
MOST_WAITING = _CHUNK
#: Viewers of one machine, each costs a descriptor and `MOST_UNREAD` at worst: 64 MiB.
MAX_VIEWERS = 64
#: Of them one client's: a program needs one, or two with a log; nobody shuts out the others alone.
MAX_OF_CLIENT = 4


class Serial:
    """One serial port.

    Args:
        sock: Our end of QEMU's character device.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._past = bytearray()
        self._to_guest = bytearray()
        self._viewers: list[_Viewer] = []
        self._ended = False
        self._loop.add_reader(sock, self._hear)

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    def view(self, client: SerialClient, *, writes: bool) -> socket.socket:
        """Have a client see what the guest says, and write to it if it *writes*.

        Returns:
            The client's end; the caller closes it once it has been sent.

        Raises:
            LimitError: As many look as may, or this client looks as often as one may.
        """
        its = sum(viewer.client is client for viewer in self._viewers)
        if its >= MAX_OF_CLIENT:
            raise LimitError(
                f"this client looks at the serial port {its} times already; close one first",
                "viewers of one client", MAX_OF_CLIENT, its + 1,
            )  # fmt: skip
        if len(self._viewers) >= MAX_VIEWERS:
            raise LimitError(
                f"{MAX_VIEWERS} look at the serial port already; close one first",
                "viewers of a serial port", MAX_VIEWERS, MAX_VIEWERS + 1,
            )  # fmt: skip
        ours, theirs = socket.socketpair()
        viewer = _Viewer(self, ours, client, writes=writes)
        self._viewers.append(viewer)
        viewer.say(self._past)
        if self._ended:
            viewer.close()
        return theirs

    def leave(self, client: object) -> None:
        """Hang up on what a client that has gone was shown."""
        for viewer in [v for v in self._viewers if v.client is client]:
            viewer.close()

    def _hear(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._past += data
        del self._past[:-KEPT]
        for viewer in list(self._viewers):
            viewer.say(data)

    def write(self, data: bytes) -> None:
        """Send this to the guest, now or when it reads; what is sent at once stays together."""
        if not self._ended:
            self._to_guest += data
            self._flush()

    @property
    def full(self) -> bool:
        """Whether enough waits for the guest."""
        return len(self._to_guest) >= MOST_WAITING

    def _flush(self) -> None:
        try:
            while self._to_guest:
                del self._to_guest[: self._sock.send(self._to_guest, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._sock, self._flush)
            return
        except OSError:
            self.close()
            return
        self._loop.remove_writer(self._sock)
        for viewer in list(self._viewers):
            viewer.go_on()

    def forget(self, viewer: _Viewer) -> None:
        """This one has been hung up on."""
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def close(self) -> None:
        """Hang up on everybody; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for viewer in list(self._viewers):
            viewer.close()


class _Viewer:
    """One client's view of the port."""

    def __init__(
        self, serial: Serial, sock: socket.socket, client: SerialClient, *, writes: bool
    ) -> None:
        sock.setblocking(False)
        self.client = client
        self._serial = serial
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._unread = bytearray()
        self._reading = False
        self._hears = writes
        self._closing = False
        if not writes:
            # Whoever writes there all the same is told so (EPIPE).
            sock.shutdown(socket.SHUT_RD)
        self.go_on()

    def say(self, data: bytes | bytearray) -> None:
        """Show it this, now or as soon as it reads."""
        self._unread += data
        self._flush()
        if len(self._unread) > MOST_UNREAD:
            log.warning("%s does not read the serial port", self.client)
            self._unread.clear()
            self.close()

    def _flush(self) -> None:
        if self._sock.fileno() < 0:
            return
        try:
            while self._unread:
                del self._unread[: self._sock.send(self._unread, socket.MSG_NOSIGNAL)]
        except (BlockingIOError, InterruptedError):
            self._loop.add_writer(self._sock, self._flush)
            return
        except OSError:
            self._unread.clear()
            self._closing = True
        self._loop.remove_writer(self._sock)
        if self._closing:
            self.close()

    def go_on(self) -> None:
        """Read what it writes, while the guest has room for it."""
        wanted = self._hears and not self._serial.full and self._sock.fileno() >= 0
        if wanted and not self._reading:
            self._loop.add_reader(self._sock, self._hear)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._sock)
        self._reading = wanted

    def _hear(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._serial.write(data)
            self.go_on()
            return
        # Its writing has ended, or all of it has.
        self._hears = False
        self.go_on()
        poll = select.poll()
        poll.register(self._sock, 0)
        if poll.poll(0):
            self._unread.clear()
            self.close()

    def close(self) -> None:
        """Hang up, when what it has been shown is on its way; a second call does nothing."""
        self._serial.forget(self)
        self._hears = False
        self.go_on()
        if self._unread and not self.client.closed:
            self._closing = True
            return
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_writer(self._sock)
        self._sock.close()
