"""The source that asks the emulator for screenshots: ``screendump``.

It leaves nothing behind in the emulator when it ends, which a listener does (QEMU 10.0.2), so it
is right for what does not last: the text of a firmware, boot graphics, a screen that is blanked
for a moment. What lasts is cheaper for a listener.

Rules of this file:

- One thread takes one screenshot at a time and publishes what differs. It sleeps until the next
  is due or asked for.
- A picture of another size is shown if the next screenshot, `HOLD_SIZE` later, has that size too.
- `stop` waits for no screenshot: one that is being taken is given up.
- One that cannot be taken ends the source.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np

from ..errors import GeometryError, KjuError
from ..surface.producer import Producer
from .base import Need, Phase, Report, Source, Status, room_for

log = logging.getLogger(__name__)

#: Between two screenshots of a screen at rest, and of one that has just changed or been given an
#: input. One of 720x400 takes 2 ms of QEMU's main loop, of 1280x800 6 ms.
REST = 0.1
BRISK = 0.03
BRISK_FOR = 0.5
#: The same once it has been at rest for so long: a screen that is blanked.
STILL = 0.5
STILL_AFTER = 10.0
#: Of every screenshot's length so many times as much passes until the next.
BUDGET = 10
#: Seconds between the two screenshots that have to agree on a new size; QEMU's own tick.
HOLD_SIZE = 0.03

#: Height, width and 3 bytes, R G B; None is a screenshot that could not be read.
Picture = np.ndarray[Any, np.dtype[np.uint8]]
Take = Callable[[], "Future[Picture | None]"]


class ScreendumpSource(Source):
    """Fills a producer from screenshots.

    Args:
        take: Begins to take one; its `Future` may be cancelled.
        producer: What to fill.
        report: Told what the source does, from its thread.
    """

    NAME = "screendump"

    def __init__(self, take: Take, producer: Producer, report: Report | None = None) -> None:
        super().__init__(producer, self.NAME, report)
        self._take = take
        self._taking: Future[Picture | None] | None = None
        self._size: tuple[int, int] | None = None
        self._needed = 0
        self._said: bool | None = None
        self._stirred = 0.0
        self._ending = False
        self._next: Producer | None = None
        self._flushing: list[threading.Event] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kju-screendump", daemon=True)

    @property
    def size(self) -> tuple[int, int] | None:
        """Width and height of the newest screenshot that is shown."""
        return self._size

    def start(self) -> None:
        """Take screenshots from now on."""
        self._stirred = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End, and give up the screenshot that is being taken."""
        with self._lock:
            if self._ending:
                return
            self._ending = True
            taking = self._taking
        self._wake.set()
        if taking is not None:
            taking.cancel()
        if self._thread.ident is not None:
            self._thread.join()
        self._tell(Status(Phase.ENDED, self.NAME))

    def retarget(self, producer: Producer) -> None:
        """Fill another surface from the next screenshot on, which is taken at once."""
        with self._lock:
            self._next = producer
        self._wake.set()

    def input(self) -> None:
        """Somebody has sent the guest an input: take them faster for a while."""
        self._stirred = time.monotonic()
        self._wake.set()

    def pause(self, now: bool) -> None:
        """Say so with the next screenshot, which is taken at once."""
        super().pause(now)
        self._wake.set()

    def flush(self, timeout: float) -> bool:
        """Publish a screenshot that is begun after this call."""
        done = threading.Event()
        with self._lock:
            if self._ending:
                return False
            self._flushing.append(done)
        self._wake.set()
        return done.wait(timeout)

    # -- everything below runs in the thread

    def _run(self) -> None:
        reason = ""
        try:
            while not self._ending:
                self._turn()
        except CancelledError:
            pass  # by stop, or by the host's end
        except (KjuError, OSError) as error:
            reason = str(error)
        except Exception as error:
            # A mistake of ours: the host must hear that this source has ended all the same.
            log.exception("taking screenshots failed")
            reason = f"internal error: {error!r}"
        if not self._ending:
            log.warning("the %s source has ended: %s", self.NAME, reason)
            self._tell(Status(Phase.ENDED, self.NAME, reason))

    def _turn(self) -> None:
        """Take a screenshot, and sleep until the next is due or asked for."""
        self._wake.clear()
        began = time.monotonic()
        with self._lock:
            flushing, self._flushing = self._flushing, []
            if self._next is not None:
                self.producer, self._next = self._next, None
                self._said, self._needed = None, 0
        self._show()
        self._tell(self._status())
        for done in flushing:
            done.set()
        now = time.monotonic()
        least = (now - began) * (BUDGET - 1)
        if self._wake.wait(max(self._pace(now), least)) and not self._ending:
            time.sleep(max(0.0, min(BRISK, now + least - time.monotonic())))

    def _pace(self, now: float) -> float:
        """Seconds until the next, by how long nothing has happened."""
        still = now - self._stirred
        return BRISK if still < BRISK_FOR else REST if still < STILL_AFTER else STILL

    def _show(self) -> None:
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
            self._stirred = time.monotonic()
        self._say()

    def _screenshot(self) -> Picture | None:
        with self._lock:
            if self._ending:
                raise CancelledError
            self._taking = self._take()
        try:
            return self._taking.result()
        finally:
            self._taking = None

    def _publish(self, picture: Picture) -> bool:
        """Publish *picture*; whether anything in it is new."""
        producer, mode = self.producer, self.producer.mode
        height, width = picture.shape[:2]
        if self._needed == room_for(width, height):
            return False  # asked for, and not given yet
        pixels = np.ascontiguousarray(picture).data
        if mode.epoch and mode[:2] == (width, height):
            self._size, self._needed = (width, height), 0
            return producer.compare(pixels, source_format="bgr888") > 0
        try:
            producer.set_mode(width, height, source=pixels, source_format="bgr888")
        except GeometryError:
            # It is a whole picture: the surface is too small for it.
            self._needed = room_for(width, height)
            return False
        self._size, self._needed = (width, height), 0
        return True

    def _say(self) -> None:
        if not self._needed and self._said is not self.paused:
            self._said = self.paused
            self.producer.set_state(self.live)

    def _status(self) -> Status:
        if self._needed:
            reason = "the picture is larger than the surface"
            return Status(Phase.RUNNING, self.NAME, reason, Need.LARGER, self._needed)
        return Status(Phase.RUNNING, self.NAME)
