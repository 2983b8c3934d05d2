"""What every source is: something that fills one `Producer` for one console.

Rules a source obeys:

- It works between `start` and `stop`, in a thread of its own if it needs one. `stop` returns
  when nothing will be published any more; both may be called once, `stop` also before `start`.
- It never waits for whoever looks, and holds a bounded amount of display data.
- It says what it does in a `Status`, through the callback given to it. The callback is called
  from the source's thread, must return at once and must not call the source back.
- What it cannot do itself it asks for there (`Need`); until that is given it goes on as well
  as it can.
- When it ends by itself, the last picture stays published; the host decides what comes next.

`StubSource` is the smallest source there is; read it before you write one.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from ..surface import State
from ..surface.producer import Producer


class Phase(Enum):
    """Where a source is in its life; it only moves on."""

    NEW = "new"
    RUNNING = "running"
    ENDED = "ended"


class Need(Enum):
    """What a source asks of its host."""

    NOTHING = "nothing"
    REGISTER = "register"
    """Start a new source in its place: the connection has become worse than a new one is."""
    LARGER = "larger"
    """A surface with room for `Status.needed` bytes of pixels, given with `retarget`."""


class Status(NamedTuple):
    """What a source does now.

    Attributes:
        name: The source as users know it, for example ``display1-map``.
        reason: Why it is no faster one, or why it ended; empty when all is well.
        needed: Bytes of pixels, with `Need.LARGER`.
    """

    phase: Phase
    name: str
    reason: str = ""
    need: Need = Need.NOTHING
    needed: int = 0


Report = Callable[[Status], None]


def room_for(width: int, height: int) -> int:
    """Bytes of pixels that a surface needs for a mode of this size, 4 bytes per pixel."""
    return (width * 4 + 63 & ~63) * height


class Source(abc.ABC):
    """Fills one producer for one console.

    Attributes:
        producer: What it fills.
        status: What it said last.
        paused: The machine is: set before `start`, later through `pause`.
    """

    paused = False

    def __init__(self, producer: Producer, name: str, report: Report | None = None) -> None:
        self.producer = producer
        self.status = Status(Phase.NEW, name)
        self._report = report

    @abc.abstractmethod
    def start(self) -> None:
        """Begin to publish."""

    @abc.abstractmethod
    def stop(self) -> None:
        """End, and return when nothing will be published any more."""

    @abc.abstractmethod
    def retarget(self, producer: Producer) -> None:
        """Fill another surface from now on, beginning with the whole picture."""

    def pause(self, now: bool) -> None:
        """The machine has been paused, or goes on: say PAUSED in place of LIVE, or LIVE again.

        It is said here, by whoever publishes, and not by the host: of two that write one state
        the later wins, and a first picture would make a paused machine live.
        """
        self.paused = now

    def input(self) -> None:  # noqa: B027  most are told what changes
        """Somebody has sent the guest an input: what it changes is wanted soon."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height that the emulator said last; None where it has said nothing."""
        return None

    @property
    def live(self) -> State:
        """The state of a surface that has a picture."""
        return State.PAUSED if self.paused else State.LIVE

    def flush(self, timeout: float) -> bool:
        """Publish everything the emulator has told so far.

        Args:
            timeout: Seconds to wait for it.

        Returns:
            Whether that was done in time; a source that publishes at once has nothing to do.
        """
        return True

    def _tell(self, status: Status) -> None:
        """Set the status, and report it if it is new."""
        if status != self.status:
            self.status = status
            if self._report is not None:
                self._report(status)


class StubSource(Source):
    """Publishes one black picture and rests: the contract, readable, and a fake for tests."""

    def __init__(
        self, producer: Producer, report: Report | None = None, size: tuple[int, int] = (640, 480)
    ) -> None:
        super().__init__(producer, "stub", report)
        self._size = size

    @property
    def size(self) -> tuple[int, int]:
        """The picture's width and height."""
        return self._size

    def start(self) -> None:
        """Publish the picture."""
        self.retarget(self.producer)
        self._tell(Status(Phase.RUNNING, "stub"))

    def stop(self) -> None:
        """Do nothing more."""
        self._tell(Status(Phase.ENDED, "stub"))

    def retarget(self, producer: Producer) -> None:
        """Publish the picture there."""
        self.producer = producer
        producer.set_mode(*self.size)
        producer.set_state(self.live)

    def pause(self, now: bool) -> None:
        """Say so: there is a picture always."""
        super().pause(now)
        self.producer.set_state(self.live)
