"""SHELL: a console with video memory: which source fills it, and whether any does.

Rules:

- While nobody looks nothing is compared and no register is read. A listener that is there
  stays, until the guest goes to a mode that needs none.
  Whoever asks for the surface looks until it hangs up; a surface in a named file has consumers
  nobody knows of, so somebody always looks at that.
- A 32-bit mode is watched in the video memory itself. What QEMU shows otherwise (a blanked
  screen) comes from screenshots; another mode does so for `LISTEN_AFTER`, and then comes from
  a listener for as long as it lasts. QEMU 10.0.2 keeps every listener that has hung up, its
  socket and its wake-ups (7.2 did not; ui/dbus-listener.c has the listener and its connection
  hold each other), so there is none for a firmware's text or a mode that goes by.
- The registers are the guest's and are read often, but not for every look at the pixels. Where
  they do not tell, the last mode holds for `DOUBT`; then QEMU is believed, through the listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import Future
from typing import Any

import numpy as np

from ...errors import KjuError
from ...memory import SurfaceProducer
from ...sources.base import OnStatus, Phase, Source
from ...sources.framebuffer import FramebufferSource
from ...sources.screendump import ScreendumpSource
from ...surface import State
from ...surface.geometry import Place
from ..console import MakeSource
from ..input.devices import Devices
from ..on_demand import RestingConsole
from . import dbus
from .bochs import OtherMode
from .vram import VideoMemory

log = logging.getLogger(__name__)

#: Between two looks at the registers; one takes 0.6 ms of QEMU's main loop and 0.8 of the host.
POLL = 0.1
#: The same for so long after a change of the mode, and after an input to a guest that flips pages.
POLL_BRISK = 0.04
BRISK_FOR = 1.0
#: The same once nothing has been known to happen for so long, in a mode without flips.
POLL_CALM = 0.25
CALM_AFTER = 5.0
#: How long what is not to be seen in the memory is had by screenshots: a firmware's text is
#: over by then, and a listener that comes for what lasts costs QEMU less.
LISTEN_AFTER = 10.0
#: How long registers that make no sense are taken for an interlude.
DOUBT = 0.5
#: Between two comparisons of the memory with what QEMU shows (0.2 % of its main loop); the
#: first comes soon after a mode change.
VERIFY = 4.0
VERIFY_FIRST = 0.3
#: Until whoever begins to look has a picture: a mode is read and published in 5 ms, a listener
#: has its first in 30 ms.
FIRST = 1.0

HIDDEN = "QEMU shows something else than the video memory: a blanked screen, most likely"


class VideoConsole(RestingConsole):
    """One console of a device whose video memory is shared.

    Args:
        make: Starts a listener.
        memory: What the guest draws in.
    """

    def __init__(
        self,
        index: int,
        facts: dbus.Console,
        address: str,
        make: MakeSource,
        devices: Devices,
        *,
        paused: bool = False,
        memory: VideoMemory,
    ) -> None:
        super().__init__(index, facts, address, self._make_wanted, devices, paused=paused)
        self.memory = memory
        self._listen = make
        self._mode: Place | None = None
        self._reason = ""
        self._hidden = False
        self._mode_changed = 0.0
        self._flips = False
        self._stirred = 0.0
        self._doubt_since: float | None = None
        self._verify_at = 0.0
        self._differed = 0
        self._unlike_since: float | None = None
        self._hint = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None

    # -- who looks

    async def _wake(self) -> None:
        if self._watching is None:
            self._watching = self._do(self._watch())
        end = self._loop.time() + FIRST
        while not self._shows() and self._loop.time() < end and not self._watching.done():
            await asyncio.sleep(0.002)

    def _shows(self) -> bool:
        return self._source is not None and self._source.size is not None

    def _rest(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
            self._do(self._rest_source())

    async def _rest_source(self) -> None:
        """End the source, unless it is a listener that will be wanted again."""
        if self._listens():
            log.info("console %d: nobody looks: its listener waits", self.index)
        else:
            await self._stop_source()

    async def _follow_at_rest(self) -> None:
        """Something has changed while nobody looks: a linear mode needs no listener."""
        try:
            found = await self.memory.mode()
        except KjuError as error:
            log.info("console %d: the mode cannot be read: %s", self.index, error)
            return
        if isinstance(found, Place) and self._watching is None:
            await self._stop_source()

    # -- which source

    async def _make_wanted(
        self, producer: SurfaceProducer, report: OnStatus, paused: bool
    ) -> Source:
        place = self._wanted()
        source: Source
        if place is not None:
            source = FramebufferSource(self.memory.mapping, place, producer, report)
        elif self._lasts() or not self._dumps():
            with contextlib.suppress(KjuError, OSError):
                # A new listener is first given what QEMU drew last, and where nobody has been
                # looking that may be of another mode.
                await self.memory.screenshot()
            return await self._listen(producer, report, paused)
        else:
            source = ScreendumpSource(self._screenshot, producer, report)
        source.paused = paused
        source.start()
        return source

    def _screenshot(self) -> Future[np.ndarray[Any, Any] | None]:
        return asyncio.run_coroutine_threadsafe(self.memory.screenshot(), self._loop)

    def _wanted(self) -> Place | None:
        return None if self._hidden else self._mode

    def _listens(self) -> bool:
        """Whether there is a listener."""
        return not isinstance(self._source, FramebufferSource | ScreendumpSource | None)

    def _lasts(self) -> bool:
        """Whether the mode has been none of the memory's for so long that it may stay.

        A screen that is blanked comes back to the memory, and meanwhile there is little to see.
        """
        since = self._unlike_since
        lasted = since is not None and self._loop.time() - since > LISTEN_AFTER
        return lasted and not self._hidden

    def _dumps(self) -> bool:
        """Whether screenshots can be had: the last that was tried has not failed."""
        failed = self.status.phase is Phase.ENDED and self.status.name == ScreendumpSource.NAME
        return self.memory.can_dump and not failed

    async def _watch(self) -> None:
        """Follow the mode while somebody looks."""
        while True:
            try:
                await self._follow()
                await self._verify()
            except (KjuError, OSError, ValueError) as error:
                # QEMU's answers and its screenshots are another process's. The next look may do.
                log.warning("console %d: the mode cannot be read: %s", self.index, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pace()):
                    await self._hint.wait()
            self._hint.clear()

    def _pace(self) -> float:
        """Seconds until the next look at the registers."""
        now = self._loop.time()
        last = max(self._mode_changed, self._stirred if self._flips else 0.0)
        if now - last < BRISK_FOR:
            return POLL_BRISK
        calm = now - max(last, self._stirred) > CALM_AFTER
        return POLL_CALM if calm and self._mode is not None and not self._flips else POLL

    async def _follow(self) -> None:
        """Read the mode, and have the source that belongs to it."""
        async with self._changing:
            found = await self.memory.mode()
            is_new = isinstance(found, Place) and found != self._mode
            if is_new and not await self.memory.little_endian():
                found = OtherMode("the guest has reversed the byte order")
            self._take(found)
            place, source = self._wanted(), self._source
            if place is not None:
                self._unlike_since = None
                if isinstance(source, FramebufferSource):
                    source.move(place)
                else:
                    await self._change_source()
                return
            if self._unlike_since is None:
                self._unlike_since = self._loop.time()
            if not self._listens() and (self._lasts() or not isinstance(source, ScreendumpSource)):
                await self._change_source()

    def _take(self, found: Place | OtherMode) -> None:
        now = self._loop.time()
        if isinstance(found, OtherMode) and found.unknown and self._mode is not None:
            if self._doubt_since is None:
                self._doubt_since = now
            if now - self._doubt_since < DOUBT:
                return
        else:
            self._doubt_since = None
        mode = found if isinstance(found, Place) else None
        self._reason = found.reason if isinstance(found, OtherMode) else ""
        if mode != self._mode:
            log.info("console %d: %s", self.index, mode or self._reason)
            self._flips = mode is not None and self._mode is not None and mode[:2] == self._mode[:2]
            if not self._flips:
                self._hidden = False
                self._verify_at = now + VERIFY_FIRST
            self._mode = mode
            self._mode_changed = now

    async def _change_source(self) -> None:
        self._hurry.set()
        self._renew()
        if self._renewing is not None:
            await asyncio.wait({self._renewing}, timeout=FIRST)

    # -- whether QEMU shows the same

    async def _verify(self) -> None:
        """Compare the memory with what QEMU shows, now and then."""
        now = self._loop.time()
        if self._mode is None or now < self._verify_at:
            return
        self._verify_at = now + VERIFY
        mode = self._mode
        if self._hidden:
            self._verify_at = now + VERIFY_FIRST
            if await asyncio.to_thread(self._shown_again, mode):
                log.info("console %d: QEMU shows the video memory again", self.index)
                self._hidden = False
            return
        blank = await self.memory.blank()
        steady = now - self._mode_changed > BRISK_FOR
        shown = not blank if blank else await self.memory.shown(mode, steady=steady)
        self._differed = self._differed + 1 if shown is False else 0
        if blank or self._differed > 1:
            log.info("console %d: %s", self.index, HIDDEN)
            self._hidden = True
        if self._differed:
            self._verify_at = now + VERIFY_FIRST

    def _shown_again(self, mode: Place) -> bool:
        producer = self.producer
        return bool(producer.mode.epoch) and self.memory.equals(mode, producer.pixels)

    # -- what clients ask

    def _compare_sizes(self) -> None:
        if self._source is not None and not self._listens():
            self.hint()  # QEMU's console follows only while somebody has it draw
            return
        super()._compare_sizes()
        if self._watching is None and self._source is not None:
            self._do(self._follow_at_rest())

    def hint(self) -> None:
        """Something has happened after which the mode may be another."""
        self._stirred = self._loop.time()
        self._hint.set()

    def doubt(self) -> None:
        """What is shown may be something else by now, mode and all: look soon, and twice."""
        self._verify_at = 0.0
        self.hint()

    def input(self) -> None:
        """A client has sent an input."""
        if self._source is not None:
            self._source.note_input()
        self._stirred = self._loop.time()
        if self._flips:
            self._hint.set()

    async def refresh(self, *, sync: bool) -> int:
        """Publish what is in the memory now, or what the listener was told; return the version."""
        if sync and self._watching is not None:
            await self._follow()
        return await super().refresh(sync=sync)

    def live_window(self) -> int:
        """The descriptor of the memory that the live window lies in; it stays this object's."""
        return self.memory.descriptor.fileno()

    def stop(self, state: State, reason: str) -> None:
        """Stop the source and say the last word."""
        super().stop(state, reason)
        self.memory.close()

    def info(self) -> dict[str, Any]:
        """This console, for people and programs."""
        found = super().info()
        if not found["reason"]:
            found["reason"] = HIDDEN if self._hidden else self._reason
        return found
