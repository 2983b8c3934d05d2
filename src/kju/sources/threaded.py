"""SHELL: the thread of a source: its rounds, requests to it, and its end.

Rules of this file:

- One thread does all the work. Other threads leave requests for it and wake it.
- A source that ends by itself reports why, in `SourceStatus.reason`.
- `stop` wakes the thread, interrupts what it waits for, and joins it.
"""

from __future__ import annotations

import abc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

from ..errors import KjuError
from ..surface.producer import Producer
from .base import OnStatus, Phase, Source, SourceStatus

log = logging.getLogger(__name__)


class ThreadedSource(Source):
    """A source that works in one thread.

    A subclass defines `_turn`, which does one round of work and then sleeps, and `_wake`, which
    ends that sleep. `_turn` takes the requests from `_take_requests`.

    Args:
        producer: The producer to fill.
        name: The public name of the source.
        on_status: Receives every new status, in the source's thread.
        thread: The name of the thread.
    """

    def __init__(
        self, producer: Producer, name: str, on_status: OnStatus | None, *, thread: str
    ) -> None:
        super().__init__(producer, name, on_status)
        # True until `stop` is called or the thread ends; written under the lock.
        self._is_open = True
        self._requests: list[Callable[[], object]] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=thread, daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self) -> None:
        """End; nothing more is published once this returns."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                self._wake()
        self._interrupt()
        if self._thread.ident is not None:
            self._thread.join()
        self._release()
        if self.status.phase is not Phase.ENDED:  # one that ended by itself has given its reason
            self._set_status(SourceStatus(Phase.ENDED, self.status.name))

    def flush(self, timeout: float) -> bool:
        """Publish everything that the emulator has sent before this call."""
        done = threading.Event()
        return self._submit(lambda: self._flush(done)) and done.wait(timeout)

    def _submit(self, request: Callable[[], object]) -> bool:
        """Have the thread call *request*; returns False if the source has ended."""
        with self._lock:
            if not self._is_open:
                return False
            self._requests.append(request)
            self._wake()
        return True

    @abc.abstractmethod
    def _wake(self) -> None:
        """End the thread's sleep. Any thread may call it."""

    def _interrupt(self) -> None:
        """Interrupt what the thread waits for; called once by `stop`, after `_wake`."""

    # -- everything below runs in the source's thread

    def _prepare(self) -> None:
        """Run once, before the first round."""

    @abc.abstractmethod
    def _turn(self) -> None:
        """Do one round of work, then sleep until more is due or `_wake` is called.

        Raises:
            KjuError, OSError: The source ends for this reason.
        """

    def _flush(self, done: threading.Event) -> None:
        """Publish what there is, then set *done*."""
        done.set()

    def _take_requests(self) -> list[Callable[[], object]]:
        with self._lock:
            requests, self._requests = self._requests, []
        return requests

    def _fail(self, reason: str) -> None:
        """Publish that the source has ended by itself, where the picture is not valid any more."""

    def _release(self) -> None:
        """Release what the source holds. Called at the thread's end and by `stop`."""

    def _run(self) -> None:
        reason = ""
        try:
            self._prepare()
            while self._is_open:
                self._turn()
        except CancelledError:
            pass  # by `stop`, or at the end of the host's event loop
        except (KjuError, OSError) as error:
            reason = str(error)
        except Exception as error:
            # A fault in kju. The owner must learn that the source has ended all the same.
            log.exception("the thread %s failed", self._thread.name)
            reason = f"internal error: {error!r}"
        with self._lock:
            ended_by_itself, self._is_open = self._is_open, False
        if ended_by_itself:
            log.warning("the source %s has ended: %s", self._thread.name, reason)
            self._fail(reason)
        self._release()
        if ended_by_itself:
            self._set_status(SourceStatus(Phase.ENDED, self.status.name, reason))
