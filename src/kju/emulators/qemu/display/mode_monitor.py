"""SHELL: the sources of a QEMU console follow the guest's mode and the size that QEMU announces."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from ....errors import KjuError
from ....sources.base import is_slow
from ....surface.geometry import Place
from ...console import SourceRunner
from ...supervisor import Supervisor, SupervisorState
from .guest_mode import HIDDEN, GuestMode, OtherMode
from .source_policy import QemuPolicy
from .vram import VideoMemory

log = logging.getLogger(__name__)


#: Seconds between two readings of the registers. One takes 0.6 ms of QEMU's main loop and 0.8 ms of
#: the host.
_POLL = 0.1
#: The same for `BRISK_FOR` after a change of the mode, or an input to a guest that flips pages.
_POLL_BRISK = 0.04
BRISK_FOR = 1.0
#: The same after `_CALM_AFTER` without an event, in a mode without page flips.
_POLL_CALM = 0.25
_CALM_AFTER = 2.0
#: A new mode changes pixels. So while nothing is published, the interval is the time since the last
#: event divided by `_CALM_SHARE`, `_POLL_REST` at most. The monitor still looks every `_POLL_CALM`
#: whether anything has been published, which asks QEMU nothing.
_CALM_SHARE = 5
_POLL_REST = 1.0
#: The same while all viewers look rarely (thumbnails): seconds between two such looks, and between
#: two readings while nothing is published.
_POLL_SLOW = 2.0
_POLL_STILL = 30.0
#: Seconds between two questions whether the guest has blanked the screen, and at least between two
#: comparisons of the memory with a screenshot (6 ms of QEMU's main loop, 12 ms of the host). While
#: nothing is published and the answer is no, the time between two comparisons doubles, up to
#: `VERIFY_SLOW`.
VERIFY = 4.0
VERIFY_SLOW = 60.0
#: Seconds before the first comparison after a mode change.
VERIFY_FIRST = 0.3
#: The longest wait for the first picture of a new client: a mode is read and published in 5 ms, a
#: listener has its first picture in 30 ms.
_FIRST_PICTURE = 1.0
#: Seconds for a listener to receive an announced size: QEMU announces it on the D-Bus connection at
#: once, and sends it to listeners in its next tick, within 30 ms.
LISTENER_DELAY = 0.1


class AnnouncedSize:
    """The size that QEMU announced last for one console.

    Args:
        width: The width at the start, in pixels.
        height: The height at the start, in pixels.
        check: Called with the size when the listener should have received it too.
    """

    def __init__(self, width: int, height: int, check: Callable[[tuple[int, int]], object]) -> None:
        self.size = (width, height)
        self._check = check
        self._timer: asyncio.TimerHandle | None = None

    def update(self, properties: dict[str, Any]) -> None:
        """Record the announced properties; unchanged ones are missing."""
        width, height = (properties.get(name, old) for name, old in zip(
            ("Width", "Height"), self.size, strict=True
        ))  # fmt: skip
        if not (isinstance(width, int) and isinstance(height, int)):
            log.warning("QEMU announced a size that is not valid: %r", (width, height))
            return
        self.size = (width, height)
        self.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LISTENER_DELAY, lambda: self._check(self.size))

    def cancel(self) -> None:
        """Cancel the pending check."""
        if self._timer is not None:
            self._timer.cancel()


class AnnouncedSizeRunner(SourceRunner):
    """Runs the source of a QEMU console; replaces a listener that did not receive a size.

    The announced size is the only sign of some changes of the mode: QEMU before 9.2 does not send a
    listener a text mode, and the rectangles of a smaller mode look like those of a larger one.
    """

    def check_size(self, size: tuple[int, int]) -> None:
        """Replace a listener that has not received the announced *size*."""
        source = self.supervisor.source
        received = source.size if source is not None else None
        if received is not None and received != size:
            log.info(
                "console %d: QEMU announced %dx%d and its listener received %dx%d: replacing it",
                self.supervisor.surface.index, *size, *received,
            )  # fmt: skip
            self.supervisor.replace_source(at_once=True)


class _Reading(NamedTuple):
    """A reading of something of QEMU's: its time, and the version published then."""

    time: float
    version: int


class _PictureCheck:
    """Schedules the checks whether QEMU shows the memory's picture, and judges their results.

    Each check asks whether the guest has blanked the screen. Some compare a screenshot as well, and
    all do where the answer is unknown. One difference may be the guest's drawing between the two
    readings; two in a row mean that QEMU shows another picture.

    Attributes:
        due_at: Time of the next check.
    """

    def __init__(self) -> None:
        self.due_at = 0.0
        self._differences = 0
        self._compared = _Reading(0.0, -1)
        self._pause = 0.0  # between two comparisons while nothing is published

    def expect(self, due_at: float) -> None:
        """Check at *due_at*, with a comparison: QEMU may show something else from now on."""
        self.due_at, self._pause = due_at, 0.0

    def begin(self, now: float, version: int, *, slow: bool) -> bool:
        """Begin a check; return whether to compare a screenshot too.

        Args:
            now: The time.
            version: The published version.
            slow: Whether all viewers look rarely.
        """
        self.due_at = now + (VERIFY_SLOW if slow else VERIFY)
        if version != self._compared.version:
            self._pause = 0.0
        if now < self._compared.time + self._pause:
            return False
        self._compared = _Reading(now, version)
        self._pause = min(max(VERIFY, 2 * self._pause), VERIFY_SLOW)
        return True

    def note(self, *, differs: bool, now: float) -> bool:
        """Record a result; return whether QEMU shows another picture."""
        self._differences = self._differences + 1 if differs else 0
        if differs:
            self.expect(now + VERIFY_FIRST)
        return self._differences > 1


class ModeMonitor(AnnouncedSizeRunner):
    """Runs the source that suits the guest's mode, while clients view the console.

    - At rest no register is read and nothing is compared. A listener stays registered until the
      guest enters a mode that needs none.
    - The guest may write the registers at any moment. They are read often, but not for each
      comparison of the pixels.
    - Now and then the memory is compared with a screenshot, because QEMU may show another picture.

    Args:
        supervisor: The console's.
        policy: The supervisor's policy.
        memory: The video memory; closed with the monitor.
    """

    def __init__(self, supervisor: Supervisor, policy: QemuPolicy, memory: VideoMemory) -> None:
        super().__init__(supervisor)
        self._policy = policy
        self._memory = memory
        self._check = _PictureCheck()
        self._active_at = 0.0
        self._reading = _Reading(0.0, -1)
        self._hint = asyncio.Event()
        self._monitoring: asyncio.Task[None] | None = None

    @property
    def _mode(self) -> GuestMode:
        return self._policy.display.mode

    @property
    def reason(self) -> str:
        """The reason why pixels are not read from the video memory; empty if they are."""
        return self._mode.reason

    # -- from the first client to the last

    async def _wake(self) -> None:
        if self.supervisor.state is SupervisorState.CLOSED:
            return
        if self._monitoring is None or self._monitoring.done():
            self._reading = _Reading(0.0, -1)
            self._monitoring = self._tasks.begin(self._monitor())
        loop = asyncio.get_running_loop()
        end = loop.time() + _FIRST_PICTURE
        # The client that waits for this gets its first frame from the source's first picture.
        while not self._has_picture() and loop.time() < end and not self._monitoring.done():
            await asyncio.sleep(0.002)

    def _has_picture(self) -> bool:
        source = self.supervisor.source
        return source is not None and source.size is not None

    def _rest(self) -> None:
        if self._monitoring is not None:
            self._monitoring.cancel()
            self._monitoring = None
            if self._listens:
                index = self.supervisor.surface.index
                log.info("console %d: no client views it: keeping its listener", index)
            else:
                super()._rest()

    @property
    def _listens(self) -> bool:
        kind = self.supervisor.kind
        return self.supervisor.source is not None and kind is not None and kind.stays_at_rest

    async def _leave_listener(self) -> None:
        """Stop a listener at rest if the guest has entered a mode in its video memory."""
        try:
            found = await self._memory.mode()
        except KjuError as error:
            log.info("console %d: the mode cannot be read: %s", self._index, error)
            return
        if isinstance(found, Place) and self._monitoring is None:
            await self._stop_source()

    def check_size(self, size: tuple[int, int]) -> None:
        """Replace a listener that has not received the announced size."""
        if self.supervisor.source is not None and not self._listens:
            # Without a listener QEMU updates the console's size only when it draws, so the size is
            # no measure of the source; but the mode may have changed.
            self.expect_mode()
            return
        super().check_size(size)
        if self._monitoring is None and self.supervisor.source is not None:
            self._tasks.begin(self._leave_listener())

    def _rate_changed(self) -> None:
        super()._rate_changed()
        slow = is_slow(self.rate)
        if slow is not self._policy.slow:
            self._policy.slow = slow
            self._hint.set()

    # -- the mode

    async def _monitor(self) -> None:
        while True:
            try:
                if self._hint.is_set() or not self._reading_is_new():
                    self._hint.clear()
                    await self._follow()
                    await self._verify()
            except (KjuError, OSError, ValueError) as error:
                # The answers and screenshots are another process's: the next ones may be valid.
                log.warning("console %d: the mode cannot be read: %s", self._index, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval()):
                    await self._hint.wait()

    @property
    def _index(self) -> int:
        return self.supervisor.surface.index

    def _interval(self) -> float:
        """Return the seconds until the registers are read, if the last reading is old then."""
        now, mode = asyncio.get_running_loop().time(), self._mode
        rate = self.rate
        if rate is not None and is_slow(rate):
            # A page flip moves the picture, and the pixels at its old place may never change.
            return max(1 / rate, _POLL_BRISK) if mode.flips else max(2 / rate, _POLL_SLOW)
        last = max(mode.changed_at, self._active_at if mode.flips else 0.0)
        if now - last < BRISK_FOR:
            return _POLL_BRISK
        calm = now - max(last, self._active_at) > _CALM_AFTER
        return _POLL_CALM if calm and mode.place is not None and not mode.flips else _POLL

    def _reading_is_new(self) -> bool:
        """Return whether nothing has been published since the last reading, and it is not old."""
        mode = self._mode
        if mode.flips or self.supervisor.surface.producer.version != self._reading.version:
            return False
        age = asyncio.get_running_loop().time() - self._reading.time
        return age < (_POLL_STILL if self._policy.slow else self._pause_at_rest())

    def _pause_at_rest(self) -> float:
        """Return the seconds between two readings while nothing is published."""
        mode = self._mode
        if mode.hidden or mode.place is None:
            return 0.0
        quiet = self._reading.time - max(mode.changed_at, self._active_at)
        return min(quiet / _CALM_SHARE, _POLL_REST)

    async def _follow(self) -> None:
        """Read the mode, and replace the source if it does not suit the mode."""
        async with self._changing:
            mode, found = self._mode, await self._memory.mode()
            # The byte order is read for new modes only: it is one more question to QEMU.
            is_new = isinstance(found, Place) and found != mode.place
            if is_new and not await self._memory.little_endian():
                found = OtherMode("the guest has reversed the byte order")
            before, now = mode.place, asyncio.get_running_loop().time()
            self._reading = _Reading(now, self.supervisor.surface.producer.version)
            if mode.update(found, now):
                self._check.expect(now + VERIFY_FIRST)
            if mode.place != before:
                log.info("console %d: %s", self._index, mode.place or mode.reason)
            mode.note_visibility(now)
            supervisor = self.supervisor
            if not self._policy.follow(supervisor.current_kind, supervisor.status):
                supervisor.replace_source(at_once=True)
                await supervisor.settle(_FIRST_PICTURE)

    async def _verify(self) -> None:
        """Compare the memory with QEMU's picture if that is due."""
        now, mode = asyncio.get_running_loop().time(), self._mode
        place = mode.place
        if place is None or now < self._check.due_at:
            return
        if mode.hidden:
            # The published picture is QEMU's now. Compared with the memory it needs no screenshot.
            self._check.due_at = now + VERIFY_FIRST
            if await asyncio.to_thread(self._equals_published, place):
                log.info("console %d: QEMU shows the video memory again", self._index)
                mode.hidden = False
            return
        version = self.supervisor.surface.producer.version
        compares = self._check.begin(now, version, slow=self._policy.slow)
        blank = await self._memory.blank()
        # Linux's bochs driver leaves it unknown: then only a screenshot tells.
        if blank is False and not compares:
            return
        # Just after a change the two readings may be of different pages: then a difference proves
        # nothing.
        steady = now - mode.changed_at > BRISK_FOR
        shown = not blank if blank else await self._memory.shown(place, steady=steady)
        if self._check.note(differs=shown is False, now=now) or blank:
            log.info("console %d: %s", self._index, HIDDEN)
            mode.hidden = True

    def _equals_published(self, place: Place) -> bool:
        producer = self.supervisor.surface.producer
        return bool(producer.mode.epoch) and self._memory.equals(place, producer.pixels)

    # -- events

    def expect_mode(self) -> None:
        """Read the mode soon: after this event the guest may have another."""
        self._active_at = asyncio.get_running_loop().time()
        self._hint.set()

    def distrust(self) -> None:
        """Read the mode and compare the picture soon: either may be wrong."""
        self._check.expect(0.0)
        self.expect_mode()

    def note_input(self) -> None:
        """Record that a client has sent the guest an input."""
        super().note_input()
        if self._policy.slow:
            return  # no viewer looks soon
        self._active_at = asyncio.get_running_loop().time()
        if self._mode.flips:
            self._hint.set()

    async def read_mode(self) -> None:
        """Read the guest's mode now."""
        if self._monitoring is not None:
            await self._follow()

    def live_memory(self) -> int:
        """Return the descriptor of the video memory, which this object keeps and closes."""
        return self._memory.descriptor.fileno()

    def close(self) -> None:
        """Release everything, the supervisor first."""
        super().close()
        self._memory.close()
