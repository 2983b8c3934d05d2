"""SHELL: follows the mode of a guest whose video memory is shared, while clients view the console.

Rules:

- At rest no register is read and nothing is compared. A listener stays registered until the guest
  enters a mode that needs none.
- The guest owns the registers. They are read often, but not for each comparison of the pixels.
- Now and then the memory is compared with a screenshot, because QEMU may show something else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from ...errors import KjuError
from ...surface.geometry import Place
from ..supervisor import Supervisor, SupervisorState
from .announced_size import AnnouncedSizeRunner
from .bochs import OtherMode
from .guest_mode import HIDDEN, GuestMode
from .sources import QemuPolicy
from .vram import VideoMemory

log = logging.getLogger(__name__)

#: Seconds between two readings of the registers; one takes 0.6 ms of QEMU's main loop and 0.8 ms
#: of the host.
POLL = 0.1
#: The same after a change of the mode, and after an input to a guest that flips pages.
POLL_BRISK = 0.04
BRISK_FOR = 1.0
#: The same after a while without any event, in a mode without page flips.
POLL_CALM = 0.25
CALM_AFTER = 5.0
#: Seconds between two comparisons of the memory with a screenshot (0.2 % of QEMU's main loop), and
#: before the first one after a mode change.
VERIFY = 4.0
VERIFY_FIRST = 0.3
#: The longest wait for the first picture of a new client: a mode is read and published in 5 ms, a
#: listener has its first picture in 30 ms.
FIRST_PICTURE = 1.0


class PictureCheck:
    """Decides when the memory is compared with QEMU's picture, and what the results mean.

    One difference may be a drawing between the two readings; two in a row are none.
    """

    def __init__(self) -> None:
        self.due_at = 0.0
        self._differences = 0

    def begin(self, now: float) -> None:
        """Begin a comparison; the next one is due `VERIFY` later."""
        self.due_at = now + VERIFY

    def note(self, *, differs: bool, now: float) -> bool:
        """Note the result; returns whether QEMU shows another picture."""
        self._differences = self._differences + 1 if differs else 0
        if differs:
            self.due_at = now + VERIFY_FIRST
        return self._differences > 1


class ModeMonitor(AnnouncedSizeRunner):
    """Runs the source that belongs to the guest's mode.

    Args:
        supervisor: The console's.
        policy: The supervisor's policy.
        memory: The video memory; closed with the monitor.
    """

    def __init__(self, supervisor: Supervisor, policy: QemuPolicy, memory: VideoMemory) -> None:
        super().__init__(supervisor)
        self._policy = policy
        self._memory = memory
        self._check = PictureCheck()
        self._active_at = 0.0
        self._hint = asyncio.Event()
        self._monitoring: asyncio.Task[None] | None = None

    @property
    def _mode(self) -> GuestMode:
        return self._policy.display.mode

    @property
    def reason(self) -> str:
        """Why the pixels are not read from the video memory; empty if they are."""
        return self._mode.reason

    # -- from the first client to the last

    async def _wake(self) -> None:
        if self.supervisor.stage is SupervisorState.CLOSED:
            return
        if self._monitoring is None or self._monitoring.done():
            self._monitoring = self._tasks.begin(self._monitor())
        loop = asyncio.get_running_loop()
        end = loop.time() + FIRST_PICTURE
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
        """Stop a listener at rest if the guest has entered a mode that needs none."""
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
            # Without a listener QEMU updates the console's size only when it draws.
            self.expect_mode()
            return
        super().check_size(size)
        if self._monitoring is None and self.supervisor.source is not None:
            self._tasks.begin(self._leave_listener())

    # -- the mode

    async def _monitor(self) -> None:
        while True:
            try:
                await self._follow()
                await self._verify()
            except (KjuError, OSError, ValueError) as error:
                # The answers and screenshots come from another process. The next may be valid.
                log.warning("console %d: the mode cannot be read: %s", self._index, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval()):
                    await self._hint.wait()
            self._hint.clear()

    @property
    def _index(self) -> int:
        return self.supervisor.surface.index

    def _interval(self) -> float:
        """Return the seconds until the registers are read again."""
        now, mode = asyncio.get_running_loop().time(), self._mode
        last = max(mode.changed_at, self._active_at if mode.flips else 0.0)
        if now - last < BRISK_FOR:
            return POLL_BRISK
        calm = now - max(last, self._active_at) > CALM_AFTER
        return POLL_CALM if calm and mode.place is not None and not mode.flips else POLL

    async def _follow(self) -> None:
        """Read the mode, and replace the source if it does not suit the mode."""
        async with self._changing:
            mode, found = self._mode, await self._memory.mode()
            is_new = isinstance(found, Place) and found != mode.place
            if is_new and not await self._memory.little_endian():
                found = OtherMode("the guest has reversed the byte order")
            before, now = mode.place, asyncio.get_running_loop().time()
            if mode.update(found, now):
                self._check.due_at = now + VERIFY_FIRST
            if mode.place != before:
                log.info("console %d: %s", self._index, mode.place or mode.reason)
            mode.note_visibility(now)
            supervisor = self.supervisor
            if not self._policy.follow(supervisor.current_kind, supervisor.status):
                supervisor.replace_source(at_once=True)
                await supervisor.settle(FIRST_PICTURE)

    async def _verify(self) -> None:
        """Compare the memory with QEMU's picture if that is due."""
        now, mode = asyncio.get_running_loop().time(), self._mode
        place = mode.place
        if place is None or now < self._check.due_at:
            return
        if mode.hidden:
            self._check.due_at = now + VERIFY_FIRST
            if await asyncio.to_thread(self._equals_published, place):
                log.info("console %d: QEMU shows the video memory again", self._index)
                mode.hidden = False
            return
        self._check.begin(now)
        blank = await self._memory.blank()
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
        """Note an event after which the guest may have another mode."""
        self._active_at = asyncio.get_running_loop().time()
        self._hint.set()

    def distrust(self) -> None:
        """Note that the published picture may be wrong, its mode included. Check it soon."""
        self._check.due_at = 0.0
        self.expect_mode()

    def note_input(self) -> None:
        """Note that a client has sent the guest an input."""
        super().note_input()
        self._active_at = asyncio.get_running_loop().time()
        if self._mode.flips:
            self._hint.set()

    async def read_mode(self) -> None:
        """Read the guest's mode now."""
        if self._monitoring is not None:
            await self._follow()

    def live_memory(self) -> int:
        """Return the descriptor of the video memory; it stays this object's."""
        return self._memory.descriptor.fileno()

    def close(self) -> None:
        """Release everything; the supervisor is closed first."""
        super().close()
        self._memory.close()
