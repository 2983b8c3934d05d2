"""SHELL: the source that QEMU's D-Bus display fills: ``display1-map`` and ``display1-copy``.

Rules of this file:

- One thread owns the socket and does nothing else: QEMU's main loop waits for some of its
  replies. A reply is sent before the work that it acknowledges.
- The socket is always drained: QEMU buffers without limit for a listener that does not read.
  Work is collected until the socket is empty, or until `_MAX_DRAIN` has passed.
- For viewers that look rarely the rectangles of a map are collected until the next look.
- Nothing is published after `stop` has returned.
- kju is the client of the authentication on this socket too, although QEMU makes the calls.
- A send never blocks: replies that the socket does not take wait, up to `MAX_UNSENT` bytes.
"""

from __future__ import annotations

import array
import logging
import os
import select
import socket
import time
from collections.abc import Callable

from jeepney import auth

from ...errors import KjuError, PeerError
from ...files import lost_descriptors
from ...memory.shared import Descriptor
from ...surface.producer import Producer
from ..base import Need, OnStatus, Phase, SourceStatus, ThreadedSource, is_slow
from .frames import MAX_FDS, Splitter
from .listener import DisplayListener, Event, Mistake, ScanoutMap
from .presenter import NEVER, Presenter

log = logging.getLogger(__name__)

#: Seconds for QEMU to answer the three lines of authentication. It does so from the call that
#: registers the listener, so the host's own work until then counts too.
_AUTH_TIMEOUT = 10.0
#: Bytes of replies that may wait for a peer that does not read; each is under 200.
MAX_UNSENT = 64 << 10
#: Send buffer of the end given to QEMU: fewer wake-ups per frame where the system allows it.
_SEND_BUFFER = 4 << 20
#: For recvmsg: programs that this process starts do not inherit QEMU's descriptors.
FLAGS = socket.MSG_CMSG_CLOEXEC

#: Seconds of receiving without a pause after which the known changes are published anyway; QEMU's
#: own tick is 30 ms.
_MAX_DRAIN = 0.02
#: Seconds to wait for the update that belongs to a page flip, so that both cost one comparison.
#: QEMU sends it as soon as it has the reply.
SETTLE = 0.001

BYTES = "QEMU sends bytes: it is older than 9.2, or this mode lies in video memory it cannot share"
_NO_MAPS = "maps were not requested"
FELL_BACK = "QEMU fell back to bytes after a slow or failed reply"
_OUT_OF_STEP = "QEMU changed the mode without announcing it, as it does with text sent as bytes"
_HUNG_UP = "QEMU has hung up"


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Return a pair for RegisterListener: this end, and the end for QEMU."""
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
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
        """True if replies wait until the socket is writable."""
        return bool(self._unsent)

    def authenticate(self) -> None:
        """Authenticate, and agree on passing descriptors.

        Raises:
            PeerError: QEMU rejects it, or hangs up.
            TimeoutError: QEMU does not answer in `_AUTH_TIMEOUT`.
        """
        deadline = time.monotonic() + _AUTH_TIMEOUT
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


class Display1Source(ThreadedSource):
    """Fills a producer from one registered listener.

    Make the pair with `channel.socket_pair`, give one end to this class, call `start`, and
    only then give the other end to RegisterListener.

    Args:
        sock: This end of the pair; the source closes it.
        producer: The producer to fill.
        on_status: Receives every new status, in the source's thread.
        maps: Ask for memory rather than bytes.
        label: Names the console in logs.

    Attributes:
        mistakes: Messages of QEMU's that were rejected.
    """

    def __init__(
        self,
        sock: socket.socket,
        producer: Producer,
        on_status: OnStatus | None = None,
        *,
        maps: bool = True,
        label: str = "0",
    ) -> None:
        name = "display1-map" if maps else "display1-copy"
        super().__init__(producer, name, on_status, thread=f"kju-display1-{label}")
        self.maps = maps
        self.label = label
        self.mistakes = 0
        self._channel = Channel(sock, maps)
        self._presenter = Presenter(producer)
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._looked_at = 0.0
        self._look_at = NEVER  # the look that publishes what has been collected

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that QEMU sent last; a console's own properties may differ."""
        return self._presenter.size

    def retarget(self, producer: Producer) -> None:
        """Fill another surface from now on, beginning with the whole picture."""
        self.producer = producer
        self._submit(lambda: self._presenter.retarget(producer, time.monotonic()))

    def set_paused(self, paused: bool) -> None:
        """Publish the new state in the source's thread."""
        super().set_paused(paused)
        self._submit(lambda: self._presenter.set_paused(paused))

    def set_rate(self, rate: float | None) -> None:
        """Publish at this rate from now on."""
        super().set_rate(rate)
        self._submit(lambda: None)  # publishes what has been collected

    def _begin(self) -> None:
        self._presenter.set_paused(self.paused)
        super()._begin()

    def _wake(self) -> None:
        os.eventfd_write(self._eventfd, 1)

    def _interrupt(self) -> None:
        try:
            self._channel.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # QEMU has hung up first

    def _release(self) -> None:
        with self._lock:
            if self._eventfd >= 0:
                os.close(self._eventfd)
                self._eventfd = -1
        self._channel.sock.close()

    # -- everything below runs in the thread

    def _prepare(self) -> None:
        self._channel.authenticate()

    def _turn(self) -> None:
        """Sleep, receive everything, publish, run the requests."""
        deadline = min(self._presenter.deadline, self._look_at)
        timeout = None if deadline == NEVER else deadline - time.monotonic()
        self._channel.wait(timeout, self._eventfd)
        if self._drain():
            self._channel.wait(SETTLE, self._eventfd)
            self._drain()
        if not self._is_open:
            return
        try:
            os.eventfd_read(self._eventfd)  # first: a request from now on wakes the thread again
        except BlockingIOError:
            pass
        requests = self._take_requests()
        self._publish(time.monotonic(), at_once=bool(requests))
        for request in requests:
            self._attempt(request)
        self._set_status(self._running())
        if self._channel.closed:
            raise PeerError(_HUNG_UP)

    def _publish(self, now: float, *, at_once: bool) -> None:
        """Publish due changes, or leave them for the next look of viewers that look rarely."""
        rate, presenter = self.look_rate, self._presenter
        look_at = self._looked_at + 1 / rate if rate is not None and is_slow(rate) else 0.0
        if at_once or now >= min(look_at, presenter.deadline):
            self._looked_at, self._look_at = now, NEVER
            self._attempt(lambda: presenter.publish(now))
        else:
            self._look_at = look_at

    def _drain(self) -> bool:
        """Receive until the socket is empty; returns whether a new map has arrived."""
        flipped = False
        if self._channel.waits_to_send:
            self._channel.send()
        end = time.monotonic() + _MAX_DRAIN
        while (events := self._channel.receive()) is not None:
            now = time.monotonic()
            for event in events:
                flipped = flipped or isinstance(event, ScanoutMap)
                self._receive(event, now)
            if now > end:
                break
        return flipped

    def _receive(self, event: Event, now: float) -> None:
        if isinstance(event, Mistake):
            self._log_mistake(event.error)
            return
        self._attempt(lambda: self._presenter.handle(event, now))
        if isinstance(event, ScanoutMap):
            event.fd.close()  # mapped or rejected; an error's traceback would keep it open

    def _attempt(self, work: Callable[[], object]) -> None:
        """Do *work*. A mistake of QEMU's is logged and does not end the source."""
        try:
            work()
        except KjuError as error:
            self._log_mistake(error)

    def _log_mistake(self, error: KjuError) -> None:
        # Log the first, second, fourth, eighth: a faulty peer must not fill the disk with logs.
        self.mistakes += 1
        if self.mistakes & (self.mistakes - 1) == 0:
            log.warning(
                "console %s: rejected (%d in all): %s", self.label, self.mistakes, str(error)
            )

    def _running(self) -> SourceStatus:
        presenter = self._presenter
        shown = presenter.shown
        mapped = self.maps if shown is None else shown.mapping is not None
        name = "display1-map" if mapped else "display1-copy"
        if presenter.needed:
            return SourceStatus.too_large(name, presenter.needed)
        if presenter.fell_back or presenter.out_of_step:
            reason = FELL_BACK if presenter.fell_back else _OUT_OF_STEP
            return SourceStatus(Phase.RUNNING, name, reason, Need.REGISTER)
        reason = "" if mapped else BYTES if self.maps else _NO_MAPS
        return SourceStatus(Phase.RUNNING, name, reason)
