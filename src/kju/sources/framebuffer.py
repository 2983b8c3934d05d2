"""The source that watches somebody else's pixels: ``vram``, and whatever shares a framebuffer.

Nothing announces what changes there, so the memory is compared with what is published. When,
and which part of it, is in ``csrc/scan.h``; the times are below.

Rules of this file:

- One thread compares, and does nothing else. It sleeps until something is due or asked for.
- The picture's place is given by whoever starts the source, and checked against the memory
  before every use: a guest that writes its mode registers moves it.
- What the live window says is true of the mode that is published: it is taken back before
  anything else changes.
- Memory that its owner cuts reads as zeros and ends the source; nothing else ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from ..errors import GeometryError, KjuError
from ..memory import _system
from ..memory._system import Mapping
from ..surface import State
from ..surface.geometry import Place
from ..surface.producer import Producer
from .base import Need, Phase, Report, Source, Status, room_for

log = logging.getLogger(__name__)

MS = 1_000_000

#: Between two probes when nothing is going on. A change 8 rows high is seen within it, so that
#: one the guest makes by itself is 24 ms late at most; a probe of 1920x1080 takes 75 us.
REST = 24 * MS
#: Between two probes just after an input; the budget makes it more. A probe of 1280x800 takes
#: 45 us.
BRISK = MS // 16
#: After that, a twenty-fifth of the time since the input: what follows it is 4 % late.
SHARE = 25
#: A tile that has changed is compared again after so long, and after twice as long each time
#: it has not; from 64 ms on the probe is as good.
HOT = 4 * MS
COLD = 64 * MS
#: The part of a core that comparing may take: of every look's processor time so many times as much
#: passes until the next one, however much the guest draws; and for so long after an input, half a
#: core.
BUDGET = 8
BUDGET_BRISK = 2
BRISK_FOR = 100 * MS
#: For so long after an input the thread looks without the interpreter's lock. Later the pauses are
#: a millisecond and longer, and the lock costs little in comparison.
FOLLOW_FOR = 25 * MS

GONE = "the guest's video memory was cut by another process"


class WindowSource(Source):
    """Fills a producer from memory that somebody else draws in, 32 bits per pixel.

    Args:
        window: That memory.
        place: Where the picture lies in it.
        producer: What to fill.
        report: Told what the source does, from its thread.
        name: As users know it.
        live: Whether clients may be given the window.
    """

    def __init__(
        self,
        window: Mapping,
        place: Place,
        producer: Producer,
        report: Report | None = None,
        *,
        name: str = "vram",
        live: bool = True,
    ) -> None:
        super().__init__(producer, name, report)
        self._window = window
        self._place = self._asked_place = place
        self._live = live
        self._fits = False
        # Long before now: the clock begins when the computer does.
        self._input_at = 0
        self._ending = False
        self._asked: list[Callable[[], None]] = []
        self._lock = threading.Lock()
        self._wake = threading.Lock()  # released to wake the thread
        self._wake.acquire()
        self._thread = threading.Thread(target=self._run, name=f"kju-{name}", daemon=True)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self._place.width, self._place.height

    @property
    def place(self) -> Place:
        """Where the picture lies."""
        return self._place

    def start(self) -> None:
        """Publish the picture, and what changes in it from now on."""
        self._prepare()
        self._publish_place()
        self._thread.start()
        self._tell(self._status())

    def stop(self) -> None:
        """End; the live window is taken back first."""
        with self._lock:
            if self._ending:
                return
            self._ending = True
        self._rouse()
        if self._thread.ident is not None:
            self._thread.join()
        self.producer.set_live(0, 0)
        self._tell(Status(Phase.ENDED, self.status.name))

    def retarget(self, producer: Producer) -> None:
        """Fill another surface from now on, beginning with the whole picture."""

        def change() -> None:
            self.producer.set_live(0, 0)
            self.producer = producer
            self._prepare()
            self._publish_place()

        self._ask(change)

    def show(self, place: Place) -> None:
        """The picture lies elsewhere from now on; published before anything else is."""
        # Not with what is published: that may be about to change, and back to this.
        if place != self._asked_place:
            self._asked_place = place

            def change() -> None:
                self._place = place
                self._publish_place()

            self._ask(change)

    def input(self) -> None:
        """Somebody has sent the guest an input: look often for a while."""
        self._input_at = now = time.monotonic_ns()
        self.producer.note_input(now)
        self._rouse()

    def pause(self, now: bool) -> None:
        """Say so, once the thread gets to it."""
        super().pause(now)
        self._ask(self._say)

    def flush(self, timeout: float) -> bool:
        """Publish everything that is in the window now."""
        done = threading.Event()

        def look() -> None:
            if self._fits:
                self.producer.compare(
                    self._window, offset=self._place.offset, stride=self._place.stride
                )
            done.set()

        return self._ask(look) and done.wait(timeout)

    def _ask(self, work: Callable[[], None]) -> bool:
        with self._lock:
            if self._ending:
                return False
            self._asked.append(work)
        self._rouse()
        return True

    def _rouse(self) -> None:
        self.producer.interrupt()
        try:
            self._wake.release()
        except RuntimeError:
            pass  # it has been woken already

    # -- everything below runs in the thread, or before it

    def _prepare(self) -> None:
        self.producer.set_scan_pace(REST, BRISK, HOT, COLD, SHARE, BRISK_FOR)

    def _say(self) -> None:
        if self._fits:
            self.producer.set_state(self.live)

    def _publish_place(self) -> None:
        """Publish the picture where it lies now: a new mode, or the same from elsewhere."""
        producer, place = self.producer, self._place
        mode = producer.mode
        producer.set_live(0, 0)
        try:
            if mode.epoch and (mode.width, mode.height) == place[:2]:
                producer.compare(self._window, offset=place.offset, stride=place.stride)
            else:
                producer.set_mode(
                    place.width,
                    place.height,
                    source=self._window,
                    offset=place.offset,
                    stride=place.stride,
                )
        except GeometryError:
            # It lies in the window, which was checked: the surface is too small for it.
            self._fits = False
            return
        self._fits = True
        if self._live:
            producer.set_live(place.offset, place.stride)
        producer.set_state(self.live)

    def _status(self) -> Status:
        name = self.status.name
        if not self._fits:
            reason = "the picture is larger than the surface"
            return Status(Phase.RUNNING, name, reason, Need.LARGER, room_for(*self.size))
        return Status(Phase.RUNNING, name)

    def _run(self) -> None:
        reason = ""
        _system.wake_precisely()
        try:
            while not self._ending:
                due = self._turn()
                left = due - time.monotonic_ns()
                if left > 0:
                    self._wake.acquire(timeout=left / 1e9)
        except KjuError as error:
            reason = str(error)
        except Exception as error:
            # A mistake of ours: the host must hear that this source has ended all the same.
            log.exception("comparing failed")
            reason = f"internal error: {error!r}"
        if not self._ending:
            log.warning("the %s source has ended: %s", self.status.name, reason)
            self.producer.set_live(0, 0)
            if self._window.lost:
                self.producer.set_state(State.UNAVAILABLE, reason)
            self._tell(Status(Phase.ENDED, self.status.name, reason))

    def _turn(self) -> int:
        """Do what was asked for and look at what is due; returns when to do so again."""
        with self._lock:
            asked, self._asked = self._asked, []
        for work in asked:
            work()
        if asked:
            self._tell(self._status())
        now = time.monotonic_ns()
        if not self._fits:
            return now + 1000 * MS
        due, _ = self.producer.scan_until(
            self._window,
            until=self._input_at + FOLLOW_FOR,
            budget=BUDGET_BRISK if now - self._input_at < BRISK_FOR else BUDGET,
            offset=self._place.offset,
            stride=self._place.stride,
        )
        if self._window.lost:
            raise KjuError(GONE)
        return due
