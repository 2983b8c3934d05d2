"""SHELL: the source that asks the emulator for screenshots: ``screendump``.

It leaves nothing behind in the emulator when it ends; a listener does (QEMU 10.0.2). So it suits
short-lived pictures: the text of a firmware, boot graphics, a screen that is blanked for a moment.
For a picture that lasts, a listener costs less.

Rules of this file:

- One thread takes one screenshot at a time and publishes the differences. It sleeps until the next
  one is due or requested.
- A picture of another size is published if the next screenshot, `HOLD_SIZE` later, has that size.
- `stop` cancels the screenshot that is being taken.
- A failed screenshot ends the source.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np

from ..errors import GeometryError
from ..surface.producer import Producer
from .base import OnStatus, Phase, SourceStatus, ThreadedSource, is_slow, room_for

#: Seconds between two screenshots at rest, and after a change or an input. A screenshot of 720x400
#: takes 2 ms of QEMU's main loop, of 1280x800 6 ms.
REST = 0.1
BRISK = 0.03
BRISK_FOR = 0.5
#: The same after a longer rest, as of a blanked screen.
STILL = 0.5
STILL_AFTER = 10.0
#: The next screenshot begins after this many times the duration of the last one.
BUDGET = 10
#: Seconds between the two screenshots that must agree on a new size; QEMU's own tick.
HOLD_SIZE = 0.03

#: Height, width and 3 bytes, R G B; None is a screenshot that could not be read.
Screenshot = np.ndarray[Any, np.dtype[np.uint8]]
TakeScreenshot = Callable[[], "Future[Screenshot | None]"]


class ScreendumpSource(ThreadedSource):
    """Fills a producer from screenshots.

    Args:
        take_screenshot: Begins to take one; its `Future` may be cancelled.
        producer: The producer to fill.
        on_status: Receives every new status, in the source's thread.
    """

    NAME = "screendump"

    def __init__(
        self,
        take_screenshot: TakeScreenshot,
        producer: Producer,
        on_status: OnStatus | None = None,
    ) -> None:
        super().__init__(producer, self.NAME, on_status, thread="kju-screendump")
        self._take_screenshot = take_screenshot
        self._pending: Future[Screenshot | None] | None = None
        self._size: tuple[int, int] | None = None
        self._needed = 0
        self._published_paused: bool | None = None  # None: no state has been published
        self._active_at = 0.0
        self._flushing: list[threading.Event] = []
        self._awake = threading.Event()
        self._hurry = threading.Event()  # set: a caller waits for a screenshot

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the newest published screenshot."""
        return self._size

    def _begin(self) -> None:
        self._active_at = time.monotonic()
        super()._begin()

    def retarget(self, producer: Producer) -> None:
        """Fill another surface from the next screenshot on, which is taken at once."""

        def change() -> None:
            self.producer = producer
            self._published_paused, self._needed = None, 0

        self._submit(change)

    def set_rate(self, rate: float | None) -> None:
        """Take screenshots at this rate from the next one on, which is taken at once."""
        super().set_rate(rate)
        self._wake()

    def note_input(self) -> None:
        """Take screenshots faster for a while: the guest has been sent an input."""
        if not is_slow(self.look_rate):
            self._active_at = time.monotonic()
            self._wake()

    def set_paused(self, paused: bool) -> None:
        """Publish the new state with the next screenshot, which is taken at once."""
        super().set_paused(paused)
        self._wake()

    def flush(self, timeout: float) -> bool:
        """Publish a screenshot that begins after this call; `BUDGET` does not delay it."""
        self._hurry.set()
        return super().flush(timeout)

    def _wake(self) -> None:
        self._awake.set()

    def _interrupt(self) -> None:
        self._hurry.set()
        # Under the lock: a screenshot begins under it too, and only while the source is open.
        with self._lock:
            pending = self._pending
        if pending is not None:
            pending.cancel()

    # -- everything below runs in the thread

    def _turn(self) -> None:
        """Take a screenshot, and sleep until the next is due or requested."""
        self._awake.clear()
        self._hurry.clear()
        began = time.monotonic()
        for request in self._take_requests():
            request()
        # Flushed by a screenshot that begins after the request, so by this one.
        flushing, self._flushing = self._flushing, []
        self._publish_next()
        self._set_status(self._running())
        for done in flushing:
            done.set()
        now = time.monotonic()
        least = (now - began) * (BUDGET - 1)
        if self._awake.wait(max(self._interval(now), least)) and self._is_open:
            self._hurry.wait(max(0.0, min(BRISK, now + least - time.monotonic())))

    def _flush(self, done: threading.Event) -> None:
        self._flushing.append(done)

    def _interval(self, now: float) -> float:
        """Return the seconds until the next screenshot, by the time since the last change."""
        rate, still = self.look_rate, now - self._active_at
        if rate is not None and is_slow(rate):
            return 1 / rate
        return BRISK if still < BRISK_FOR else REST if still < STILL_AFTER else STILL

    def _publish_next(self) -> None:
        picture = self._screenshot()
        if picture is None:
            return
        mode = self.producer.mode
        if mode.epoch and picture.shape[1::-1] != mode[:2]:
            time.sleep(HOLD_SIZE)
            again = self._screenshot()
            if again is None or again.shape != picture.shape:
                return
            picture = again
        if self._publish(picture):
            self._active_at = time.monotonic()
        self._publish_state()

    def _screenshot(self) -> Screenshot | None:
        with self._lock:
            if not self._is_open:
                raise CancelledError
            self._pending = self._take_screenshot()
        try:
            return self._pending.result()
        finally:
            self._pending = None

    def _publish(self, picture: Screenshot) -> bool:
        """Publish *picture*; returns whether anything in it is new."""
        producer, mode = self.producer, self.producer.mode
        height, width = picture.shape[:2]
        if self._needed == room_for(width, height):
            return False  # the larger surface has not been given yet
        pixels = np.ascontiguousarray(picture).data
        if mode.epoch and mode[:2] == (width, height):
            self._size, self._needed = (width, height), 0
            return producer.compare(pixels, source_format="bgr888") > 0
        try:
            producer.set_mode(width, height, source=pixels, source_format="bgr888")
        except GeometryError:
            # The picture is whole, so the surface is too small for it.
            self._needed = room_for(width, height)
            return False
        self._size, self._needed = (width, height), 0
        return True

    def _publish_state(self) -> None:
        if not self._needed and self._published_paused is not self.paused:
            self._published_paused = self.paused
            self.producer.set_state(self.live_state)

    def _running(self) -> SourceStatus:
        if self._needed:
            return SourceStatus.too_large(self.NAME, self._needed)
        return SourceStatus(Phase.RUNNING, self.NAME)
