"""SHELL: the source that reads pixels which another process draws: ``vram`` and ``xvfb``.

Nothing announces changes there, so the memory is compared with the published pixels.
``csrc/scan.h`` decides which part is compared, and when; the intervals stand below.

Rules of this file:

- One thread compares. It sleeps until a comparison is due or a request arrives.
- For viewers that look rarely (thumbnails) it compares once per look, and nothing between: with a
  probe, and now and then everything. There is no haste after an input.
- The owner of the source gives the place of the picture: a guest that writes its mode registers
  moves it. The place is checked against the memory before each use.
- The live window describes the published mode. It is withdrawn before the mode or place changes.
- Memory that its owner truncates reads as zeros. That ends this source, and nothing else.
"""

from __future__ import annotations

import threading
import time

from ..errors import GeometryError, KjuError
from ..memory import _system
from ..memory._system import Mapping
from ..surface import State
from ..surface.geometry import Place
from ..surface.producer import Producer
from .base import OnStatus, Phase, SourceStatus, ThreadedSource, is_slow, room_for

MS = 1_000_000

#: Between two sparse comparisons (probes) at rest. A change 8 rows high is found by the next probe,
#: so a change that the guest makes by itself is 30 ms late at most: QEMU's own displays look as
#: often. A probe of 1920x1080 takes 75 us.
REST = 30 * MS
#: For this long after a change the interval is at most half a period of the fastest viewer: an
#: animation's picture that the comparisons of hot tiles have just missed is found before the next.
_ACTIVE_FOR = 100 * MS
#: Between two probes just after an input; the budget may make it longer. A probe of 1280x800 takes
#: 45 us.
BRISK = MS // 16
#: Later the interval is the time since the input divided by this number, so that a change is found
#: at most 4 % later.
SHARE = 25
#: A changed tile is compared again after this time, and after twice the time whenever it has not
#: changed. From 64 ms on the probe is as good.
HOT = 4 * MS
COLD = 64 * MS
#: Limits the share of a core, however much the guest draws: the next comparison begins after this
#: many times the processor time of the last one. Shortly after an input it may take half a core.
BUDGET = 8
_BUDGET_BRISK = 2
BRISK_FOR = 100 * MS
#: The thread scans without the interpreter's lock until something changes, or for this long.
_SCAN_ALONE_FOR = 1000 * MS

#: For viewers that look rarely each look is a probe, and after this time one compares everything. A
#: screen of 1280x800 that is not in the processor's caches takes 0.1 ms and 0.8 ms.
LOOK_AT_ALL = 30_000 * MS
#: Without a viewer that states a rate, nothing shortens the pause that the budget asks for.
_NO_LIMIT = 1 << 62

TRUNCATED = "another process truncated the guest's video memory"


class FramebufferSource(ThreadedSource):
    """Fills a producer from memory that another process draws in, 32 bits per pixel.

    Args:
        memory: That memory.
        place: The place of the picture in it.
        producer: The producer to fill.
        on_status: Receives every new status, in the source's thread.
        name: The public name of the source.
        live: Whether clients may read *memory* themselves (the live window).
    """

    def __init__(
        self,
        memory: Mapping,
        place: Place,
        producer: Producer,
        on_status: OnStatus | None = None,
        *,
        name: str = "vram",
        live: bool = True,
    ) -> None:
        super().__init__(producer, name, on_status, thread=f"kju-{name}")
        self._memory = memory
        self._place = self._requested_place = place
        self._live = live
        self._fits = False
        self._input_at = self._changed_at = 0  # long ago: the clock starts when the computer does
        self._rest = REST
        # For viewers that look rarely: the last comparison, and the last one of everything.
        self._looked_at = self._looked_at_all = 0
        # Held by the sleeping thread and released to wake it: one system call, where an Event
        # makes a lock for each wait.
        self._sleep = threading.Lock()
        self._sleep.acquire()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return self._place.width, self._place.height

    @property
    def place(self) -> Place:
        """The place of the picture in the memory."""
        return self._place

    def _begin(self) -> None:
        """Publish the picture, then the changes in it."""
        self._set_pace()
        self._publish_place()
        self._set_status(self._running())
        super()._begin()

    def retarget(self, producer: Producer) -> None:
        """Fill another surface from now on, beginning with the whole picture."""

        def change() -> None:
            self.producer.set_live(0, 0)
            self.producer = producer
            self._set_pace()
            self._publish_place()

        self._submit(change)

    def move(self, place: Place) -> None:
        """Publish the picture at *place* from now on, before anything else is published."""
        # Compared with the request, not with the published place: a change to another place and
        # back may wait for the thread.
        if place != self._requested_place:
            self._requested_place = place

            def change() -> None:
                self._place = place
                self._publish_place()

            self._submit(change)

    def set_rate(self, rate: float | None) -> None:
        """Compare at this rate from now on; above 40 also where the budget would allow less."""
        super().set_rate(rate)
        self._submit(self._set_pace)

    def note_input(self) -> None:
        """Compare often for a while: the guest has been sent an input."""
        if is_slow(self.look_rate):
            return  # no viewer looks soon
        self._input_at = now = time.monotonic_ns()
        self.producer.note_input(now)
        self._wake()

    def set_paused(self, paused: bool) -> None:
        """Publish the new state in the source's thread."""
        super().set_paused(paused)
        self._submit(self._publish_state)

    def _wake(self) -> None:
        self.producer.interrupt()
        try:
            self._sleep.release()
        except RuntimeError:
            pass  # it has been woken already

    # -- everything below runs in the thread, or before it starts

    def _set_pace(self) -> None:
        self._rest = self._suitable_rest(time.monotonic_ns())
        self.producer.set_scan_pace(self._rest, BRISK, HOT, COLD, SHARE, BRISK_FOR)

    def _suitable_rest(self, now: int) -> int:
        rate = self.look_rate
        if rate is None:
            return REST
        # For viewers that look rarely each scan probes: there is one per look.
        if is_slow(rate):
            return 1
        return min(REST, int(0.5e9 / rate)) if now < self._changed_at + _ACTIVE_FOR else REST

    def _publish_state(self) -> None:
        if self._fits:
            self.producer.set_state(self.live_state)

    def _publish_place(self) -> None:
        """Publish the picture at its place: as a new mode, or as damage if the size is the same."""
        producer, place = self.producer, self._place
        mode = producer.mode
        producer.set_live(0, 0)
        try:
            if mode.epoch and (mode.width, mode.height) == place[:2]:
                producer.compare(self._memory, offset=place.offset, stride=place.stride)
            else:
                producer.set_mode(
                    place.width,
                    place.height,
                    source=self._memory,
                    offset=place.offset,
                    stride=place.stride,
                )
        except GeometryError:
            # The place was checked against the memory, so the surface is too small.
            self._fits = False
            return
        self._fits = True
        if self._live:
            producer.set_live(place.offset, place.stride)
        producer.set_state(self.live_state)

    def _running(self) -> SourceStatus:
        name = self.status.name
        if not self._fits:
            return SourceStatus.too_large(name, room_for(*self.size))
        return SourceStatus(Phase.RUNNING, name)

    def _prepare(self) -> None:
        _system.wake_precisely()

    def _turn(self) -> None:
        due = self._scan()
        left = due - time.monotonic_ns()
        if left > 0:
            self._sleep.acquire(timeout=left / 1e9)

    def _scan(self) -> int:
        """Run the requests and the due comparisons; return the time of the next one."""
        requests = self._take_requests()
        for request in requests:
            request()
        if requests:
            self._set_status(self._running())
        now = time.monotonic_ns()
        if not self._fits:
            return now + 1000 * MS
        rate = self.look_rate
        if rate is not None and is_slow(rate):
            return self._look(now, int(1e9 / rate))
        if self._suitable_rest(now) != self._rest:
            self._set_pace()
        brisk = now < self._input_at + BRISK_FOR
        ends = (self._input_at + BRISK_FOR, self._changed_at + _ACTIVE_FOR, now + _SCAN_ALONE_FOR)
        due, changed = self.producer.scan_until(
            self._memory,
            until=min(end for end in ends if end > now),
            budget=_BUDGET_BRISK if brisk else BUDGET,
            longest=_NO_LIMIT if rate is None else int(1e9 / rate),
            offset=self._place.offset,
            stride=self._place.stride,
        )
        if changed:
            self._changed_at = time.monotonic_ns()
        self._raise_if_lost()
        return due

    def _look(self, now: int, period: int) -> int:
        """Compare if a look is due; return the time of the next one."""
        if now >= self._looked_at + period:
            self._looked_at = now
            if now >= self._looked_at_all + LOOK_AT_ALL:
                self._looked_at_all = now
                self._compare()
            else:
                place = self._place
                self.producer.scan(self._memory, now, offset=place.offset, stride=place.stride)
            self._raise_if_lost()
        return self._looked_at + period

    def _raise_if_lost(self) -> None:
        if self._memory.lost:
            raise KjuError(TRUNCATED)

    def _compare(self) -> None:
        place = self._place
        self.producer.compare(self._memory, offset=place.offset, stride=place.stride)

    def _flush(self, done: threading.Event) -> None:
        if self._fits:
            self._compare()
        done.set()

    def _fail(self, reason: str) -> None:
        if self._memory.lost:
            self.producer.set_live(0, 0)
            self.producer.set_state(State.UNAVAILABLE, reason)

    def _release(self) -> None:
        self.producer.set_live(0, 0)
