"""The source that QEMU's D-Bus display fills: ``display1-map`` and ``display1-copy``.

Rules of this file:

- One thread owns the socket and does nothing else: QEMU's main loop waits for some of its
  answers. Answers go out before the work they stand for.
- The socket is always drained: QEMU buffers without end for a listener that does not read.
  Work is put together until the socket is empty, or `MAX_DRAIN` has passed.
- Nothing is published after `stop` has returned.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from ...errors import KjuError
from ...surface.producer import Producer
from ..base import Need, Phase, Report, Source, Status
from .channel import Channel
from .events import Event, Mistake, ScanoutMap
from .presenter import NEVER, Presenter

log = logging.getLogger(__name__)

MAX_DRAIN = 0.02
"""Seconds of receiving without a pause after which what is known is published anyway; QEMU's
own clock is 30 ms."""

SETTLE = 0.001
"""Seconds to wait for the update that belongs to a page flip, so that both cost one comparison.
QEMU sends it as soon as it has our answer."""

BYTES = "QEMU sends bytes: it is older than 9.2, or this mode lies in video memory it cannot share"
NO_MAPS = "maps were not asked for"
FELL_BACK = "QEMU fell back to bytes after a slow or failed answer"
OUT_OF_STEP = "QEMU changed the mode without saying so, as it does with text sent as bytes"
TOO_LARGE = "the picture is larger than the surface"


class Display1Source(Source):
    """Fills a producer from one registered listener.

    Make the pair with `channel.socket_pair`, give one end to this class, call `start`, and
    only then give the other end to RegisterListener.
    """

    def __init__(
        self,
        sock: socket.socket,
        producer: Producer,
        report: Report | None = None,
        *,
        maps: bool = True,
        label: str = "0",
    ) -> None:
        """Own *sock*, and prepare to fill *producer*.

        Args:
            sock: Our end of the pair; closed by this class.
            producer: What to fill.
            report: Told what the source does, from its thread.
            maps: Ask for memory rather than bytes.
            label: Names the console in logs.
        """
        super().__init__(producer, "display1-map" if maps else "display1-copy", report)
        self.maps = maps
        self.label = label
        self.mistakes = 0
        self._channel = Channel(sock, maps)
        self._presenter = Presenter(producer)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._requests: list[Callable[[], None]] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=f"kju-display1-{label}", daemon=True)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of what QEMU said last; a console's own properties may differ."""
        return self._presenter.size

    def start(self) -> None:
        """Serve the listener from now on; QEMU may be told of it when this returns."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up; returns when nothing will be published any more."""
        with self._lock:
            if self._wake < 0:
                return
            self._ending = True
            os.eventfd_write(self._wake, 1)
        try:
            self._channel.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # QEMU was faster
        if self._thread.ident is not None:
            self._thread.join()
        self._close()
        self._tell(Status(Phase.ENDED, self.status.name))

    def retarget(self, producer: Producer) -> None:
        """Fill another surface from now on, beginning with the whole picture."""
        self.producer = producer
        self._ask(lambda: self._presenter.retarget(producer, time.monotonic()))

    def pause(self, now: bool) -> None:
        """Say so, once the thread gets to it."""
        super().pause(now)
        self._ask(lambda: self._presenter.pause(now))

    def flush(self, timeout: float) -> bool:
        """Publish everything that QEMU has sent before this call."""
        done = threading.Event()
        return self._ask(done.set) and done.wait(timeout)

    def _ask(self, request: Callable[[], None]) -> bool:
        """Have the thread do something once the socket is drained."""
        with self._lock:
            if self._wake < 0 or self._ending:
                return False
            self._requests.append(request)
            os.eventfd_write(self._wake, 1)
            return True

    # -- everything below runs in the thread

    def _run(self) -> None:
        reason = ""
        try:
            self._channel.authenticate()
            while not self._ending and not self._channel.closed:
                self._turn()
            reason = "" if self._ending else "QEMU has hung up"
        except (KjuError, OSError) as error:
            reason = "" if self._ending else str(error)
        except Exception as error:
            # A mistake of ours: the host must hear that this source has ended all the same.
            log.exception("console %s: the display listener failed", self.label)
            reason = f"internal error: {error!r}"
        finally:
            if not self._ending:
                log.warning("console %s: the display listener has ended: %s", self.label, reason)
            self._close()
            self._tell(Status(Phase.ENDED, self.status.name, reason))

    def _close(self) -> None:
        with self._lock:
            if self._wake >= 0:
                os.close(self._wake)
                self._wake = -1
        self._channel.sock.close()

    def _turn(self) -> None:
        """Sleep, receive all there is, publish, do what was asked for."""
        deadline = self._presenter.deadline
        timeout = None if deadline == NEVER else deadline - time.monotonic()
        self._channel.wait(timeout, self._wake)
        self._presenter.paused = self.paused
        if self._drain():
            self._channel.wait(SETTLE, self._wake)
            self._drain()
        if self._ending:
            return
        self._attempt(lambda: self._presenter.publish(time.monotonic()))
        self._serve_requests()
        self._tell(self._status())

    def _drain(self) -> bool:
        """Receive until the socket is empty; returns whether a new map was among it."""
        flipped = False
        if self._channel.waits_to_send:
            self._channel.send()
        end = time.monotonic() + MAX_DRAIN
        while (events := self._channel.receive()) is not None:
            now = time.monotonic()
            for event in events:
                flipped = flipped or isinstance(event, ScanoutMap)
                self._take(event, now)
            if now > end:
                break
        return flipped

    def _take(self, event: Event, now: float) -> None:
        if isinstance(event, Mistake):
            self._note(event.error)
            return
        self._attempt(lambda: self._presenter.take(event, now))
        if isinstance(event, ScanoutMap):
            event.fd.close()  # mapped or refused; an error's traceback would keep it open

    def _serve_requests(self) -> None:
        with self._lock:
            requests, self._requests = self._requests, []
            try:
                os.eventfd_read(self._wake)
            except BlockingIOError:
                pass
        for request in requests:
            self._attempt(request)

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do it; what QEMU got wrong is noted and the rest goes on."""
        try:
            work()
        except KjuError as error:
            self._note(error)

    def _note(self, error: KjuError) -> None:
        # Powers of two: a peer that errs for ever must not fill the disk with its errors.
        self.mistakes += 1
        if self.mistakes & (self.mistakes - 1) == 0:
            log.warning(
                "console %s: refused (%d so far): %s", self.label, self.mistakes, str(error)
            )

    def _status(self) -> Status:
        presenter = self._presenter
        shown = presenter.shown
        mapped = self.maps if shown is None else shown.mapping is not None
        name = "display1-map" if mapped else "display1-copy"
        if presenter.needed:
            return Status(Phase.RUNNING, name, TOO_LARGE, Need.LARGER, presenter.needed)
        if presenter.fell_back or presenter.out_of_step:
            reason = FELL_BACK if presenter.fell_back else OUT_OF_STEP
            return Status(Phase.RUNNING, name, reason, Need.REGISTER)
        reason = "" if mapped else BYTES if self.maps else NO_MAPS
        return Status(Phase.RUNNING, name, reason)
