"""The contract of a source: it fills the `Producer` of one console.

Rules for every source:

- It works between `start` and `stop`, if needed in a thread of its own (`ThreadedSource`). After
  `stop` has returned, nothing more is published. `stop` may be called before `start`.
- It never waits for a consumer, and it holds a bounded amount of display data.
- It reports each new `SourceStatus` through its callback. The callback runs in the source's thread.
  It must return at once and must not call the source.
- A status can have a request to its owner (`Need`); until that is met, the source continues as
  well as it can.
- When it ends by itself, the last picture stays published. Its owner decides what to do next.
- It looks at the emulator's picture no more often than its fastest viewer does (`set_rate`).

A `ThreadedSource` does all its work in one thread. Other threads leave requests for it and wake it.
`stop` wakes the thread, interrupts the call in which it waits, and joins it.
"""

from __future__ import annotations

import abc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from enum import Enum
from typing import NamedTuple

from ..errors import KjuError
from ..protocol.values import OWN_RATE
from ..surface import State
from ..surface.producer import Producer

log = logging.getLogger(__name__)


def is_slow(rate: float | None) -> bool:
    """Return whether all viewers look less often than a source publishes at its own pace.

    Args:
        rate: Looks per second of the fastest viewer; None for the source's own pace.
    """
    return rate is not None and rate < OWN_RATE


class Phase(Enum):
    """The phases of a source's life, in their only order."""

    NEW = "new"
    RUNNING = "running"
    ENDED = "ended"


class Need(Enum):
    """A source's request to its owner."""

    NOTHING = "nothing"
    REGISTER = "register"
    """A new source in its place: its connection is worse now than a new one would be."""
    LARGER = "larger"
    """A surface with room for `SourceStatus.needed` bytes of pixels, given with `retarget`."""


class SourceStatus(NamedTuple):
    """The state of a source.

    Attributes:
        phase: Its phase.
        name: The source's public name, for example ``display1-map``.
        reason: Why it is not a faster source, or why it ended; empty when all is well.
        need: Its request.
        needed: Bytes of pixels, with `Need.LARGER`.
    """

    phase: Phase
    name: str
    reason: str = ""
    need: Need = Need.NOTHING
    needed: int = 0

    @classmethod
    def too_large(cls, name: str, needed: int) -> SourceStatus:
        """Return the status of a source whose picture is larger than its surface."""
        reason = "the picture is larger than the surface"
        return cls(Phase.RUNNING, name, reason, Need.LARGER, needed)


#: Receives every new status of a source.
OnStatus = Callable[[SourceStatus], None]


def room_for(width: int, height: int) -> int:
    """Return the bytes of pixels that a surface needs for a mode, at 4 bytes per pixel."""
    return (width * 4 + 63 & ~63) * height


class Source(abc.ABC):
    """Fills one producer for one console.

    Attributes:
        producer: The producer that is filled.
        status: The newest status.
        paused: Whether the machine is paused.
        look_rate: Looks per second of the fastest viewer; None for the source's own pace.
    """

    def __init__(self, producer: Producer, name: str, on_status: OnStatus | None = None) -> None:
        self.producer = producer
        self.status = SourceStatus(Phase.NEW, name)
        self.paused = False
        self.look_rate: float | None = None
        self._on_status = on_status

    def start(self, *, paused: bool = False) -> None:
        """Begin to publish.

        Args:
            paused: Whether the machine is paused.
        """
        self.paused = paused
        self._begin()

    @abc.abstractmethod
    def _begin(self) -> None:
        """Begin to publish; `paused` is set."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End; nothing more is published once this returns."""

    @abc.abstractmethod
    def retarget(self, producer: Producer) -> None:
        """Fill another surface from now on, beginning with the whole picture."""

    def set_paused(self, paused: bool) -> None:
        """Publish the state PAUSED in place of LIVE, or LIVE again.

        The source does this, not its owner. If both wrote the state, the first picture of a new
        source could make a paused machine LIVE.
        """
        self.paused = paused

    def set_rate(self, rate: float | None) -> None:
        """Publish for viewers that look this often, from the next look on.

        Args:
            rate: Looks per second of the fastest viewer, above 0; None for the source's own pace.
        """
        self.look_rate = rate

    def note_input(self) -> None:  # noqa: B027  most sources receive each change
        """Publish soon: the guest has been sent an input."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that the emulator reported last; None before that."""
        return None

    @property
    def live_state(self) -> State:
        """The state of a surface that has a picture: LIVE or PAUSED."""
        return State.PAUSED if self.paused else State.LIVE

    def flush(self, timeout: float) -> bool:
        """Publish everything that the emulator has sent before this call.

        Args:
            timeout: The longest wait, seconds.

        Returns:
            Whether it was published in time. A source that publishes at once returns True.
        """
        return True

    def _set_status(self, status: SourceStatus) -> None:
        """Set the status, and report it if it is new."""
        if status != self.status:
            self.status = status
            if self._on_status is not None:
                self._on_status(status)


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

    def _begin(self) -> None:
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
        """Interrupt the call in which the thread waits; called once by `stop`, after `_wake`."""

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
        """Publish all changes, then set *done*."""
        done.set()

    def _take_requests(self) -> list[Callable[[], object]]:
        with self._lock:
            requests, self._requests = self._requests, []
        return requests

    def _fail(self, reason: str) -> None:
        """Publish that the source has ended by itself, where the picture is not valid any more."""

    def _release(self) -> None:
        """Release the source's resources. Called at the thread's end and by `stop`."""

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
