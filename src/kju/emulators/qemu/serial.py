"""SHELL: the serial port that kju adds: one guest, any number of viewers, several writers.

- The guest's output is always read, also without viewers: an unread port stops the guest after
  about 270 bytes.
- A new viewer first receives the last `HISTORY` bytes.
- A viewer that does not read is disconnected. Writers wait while the guest does not read: no input
  is lost, and at most `MAX_WAITING` bytes wait here.
- A view is closed when the client that opened it disconnects.
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

#: Bytes of past output: four boots of a Linux 6.1 with all its messages (27 KB, 412 lines each).
HISTORY = 128 << 10
#: Bytes that wait for a viewer that does not read: 90 seconds of a line at 115200 baud.
MAX_UNREAD = 1 << 20
#: Bytes read at once: those of a full pipe of Linux (pipe(7)).
_CHUNK = 64 << 10
#: Bytes that wait for the guest, after which writers are not read. A single read may exceed it.
MAX_WAITING = _CHUNK
#: Viewers of one machine; each takes a descriptor and `MAX_UNREAD` at worst: 64 MiB.
MAX_VIEWERS = 64
#: Viewers of one client, so that it cannot take all: a program needs one, or two with a log.
MAX_PER_CLIENT = 4


def _received(sock: socket.socket) -> bytes | None:
    """Return the bytes that a socket has received: b"" at its end, None if it has none yet."""
    try:
        return sock.recv(_CHUNK)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


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
        self._loop.add_reader(sock, self._readable)

    def detach(self) -> None:
        """Disconnect from QEMU, which is replaced; viewers stay, and their input is lost."""
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._to_guest.clear()

    def attach(self, sock: socket.socket) -> None:
        """Connect to the QEMU that replaces the last one."""
        sock.setblocking(False)
        self._sock = sock
        self._loop.add_reader(sock, self._readable)
        self._flush()

    @property
    def viewers(self) -> int:
        """The number of viewers."""
        return len(self._viewers)

    def view(self, client: SerialClient, *, writes: bool) -> socket.socket:
        """Open a view for a client, for reading, and for writing if it *writes*.

        Returns:
            The client's end; the caller closes it once it has been sent.

        Raises:
            LimitError: There are too many viewers, or too many of this client.
        """
        count = sum(viewer.client is client for viewer in self._viewers)
        if count >= MAX_PER_CLIENT:
            raise LimitError(
                f"this client already has {count} views of the serial port: close one first",
                "viewers of one client", MAX_PER_CLIENT, count + 1,
            )  # fmt: skip
        if len(self._viewers) >= MAX_VIEWERS:
            raise LimitError(
                f"the serial port already has {MAX_VIEWERS} viewers: close one first",
                "viewers of a serial port", MAX_VIEWERS, MAX_VIEWERS + 1,
            )  # fmt: skip
        ours, theirs = socket.socketpair()
        viewer = _Viewer(self, ours, client, writes=writes)
        self._viewers.append(viewer)
        viewer.send(self._past)
        if self._ended:
            viewer.close()
        return theirs

    def leave(self, client: object) -> None:
        """Close the views of a client that has disconnected."""
        for viewer in [v for v in self._viewers if v.client is client]:
            viewer.close()

    def _readable(self) -> None:
        data = _received(self._sock)
        if data is None:
            return
        if not data:
            self.close()
            return
        self._past += data
        del self._past[:-HISTORY]
        for viewer in list(self._viewers):
            viewer.send(data)

    def write(self, data: bytes) -> None:
        """Send bytes to the guest, now or when it reads; the bytes of one call stay together."""
        if not self._ended:
            self._to_guest += data
            self._flush()

    @property
    def full(self) -> bool:
        """True if `MAX_WAITING` bytes wait for the guest."""
        return len(self._to_guest) >= MAX_WAITING

    def _flush(self) -> None:
        if self._sock.fileno() < 0:
            return  # between two QEMUs: `attach` sends it
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
            viewer.update_reading()

    def forget(self, viewer: _Viewer) -> None:
        """Remove a viewer that is closed."""
        if viewer in self._viewers:
            self._viewers.remove(viewer)

    def close(self) -> None:
        """Close the port and all views; a second call does nothing."""
        if self._ended:
            return
        self._ended = True
        if self._sock.fileno() >= 0:  # it is closed between two QEMUs
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
        self._reads_input = writes
        self._closing = False
        if not writes:
            # A client without the right to write gets an error from its socket (EPIPE).
            sock.shutdown(socket.SHUT_RD)
        self.update_reading()

    def send(self, data: bytes | bytearray) -> None:
        """Send output to the client, now or when it reads."""
        self._unread += data
        self._flush()
        if len(self._unread) > MAX_UNREAD:
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

    def update_reading(self) -> None:
        """Read the client's input while the guest has room for it, and only then."""
        wanted = self._reads_input and not self._serial.full and self._sock.fileno() >= 0
        if wanted and not self._reading:
            self._loop.add_reader(self._sock, self._readable)
        elif self._reading and not wanted:
            self._loop.remove_reader(self._sock)
        self._reading = wanted

    def _readable(self) -> None:
        data = _received(self._sock)
        if data is None:
            return
        if data:
            self._serial.write(data)
            self.update_reading()
            return
        # The client has closed the connection, or only its writing half (a pipe into `kju serial`).
        # Both read as the end. Only after the former does poll report a hang-up.
        self._reads_input = False
        self.update_reading()
        poll = select.poll()
        poll.register(self._sock, 0)
        if poll.poll(0):
            self._unread.clear()
            self.close()

    def close(self) -> None:
        """Close the view once its output is sent; a second call does nothing."""
        self._serial.forget(self)
        self._reads_input = False
        self.update_reading()
        if self._unread and not self.client.closed:
            # The guest's last output is still sent; `_flush` closes after it.
            self._closing = True
            return
        with contextlib.suppress(OSError, ValueError):
            self._loop.remove_writer(self._sock)
        self._sock.close()
