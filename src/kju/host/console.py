"""SHELL: one console: its surface, and the source that fills it.

Rules:

- Everything here runs in the host's event loop; what a source reports from its thread is
  brought there first.
- At any time at most one source fills the surface. A better one is started before the old
  one is stopped only where both may run at once; D-Bus listeners may not.
- A surface that has become too small is superseded: the new one is filled first, then the
  old one says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .._core import Reader
from ..errors import KjuError
from ..formats import fourcc_name
from ..memory import SurfaceProducer
from ..sources.base import Need, Phase, Report, Source, Status
from ..surface import State
from . import dbus
from .keyboard import Keyboard

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

#: Bytes of pixels a surface has room for. Sparse: what no mode uses is never allocated.
#: 64 MiB hold 3840x2160 twice; a larger mode gets a larger surface.
CAPACITY = 64 << 20
#: Seconds until a listener that QEMU treats badly is registered again; doubled each time, and
#: from the start once one has lasted. QEMU 7.2 asks for one at every change of a text mode,
#: so the first must come at once.
RETRY = 0.05
LONGEST_RETRY = 12.8
LASTED = 10.0

T = TypeVar("T")
#: Starts a source for this producer; it tells what it does through the report.
MakeSource = Callable[[SurfaceProducer, Report], Awaitable[Source]]


class Console:
    """One console of a machine.

    Args:
        index: As clients count: graphic consoles in QEMU's order, from 0.
        facts: What QEMU says of it.
        address: Where the surface is to be made, as `SurfaceProducer.create` takes it.
        make: Starts the source.
        keyboard: Its keyboard.
    """

    def __init__(
        self, index: int, facts: dbus.Console, address: str, make: MakeSource, keyboard: Keyboard
    ) -> None:
        self.index = index
        self.facts = facts
        self.keyboard = keyboard
        self.producer = SurfaceProducer.create(address, capacity=CAPACITY)
        self.status = Status(Phase.NEW, "none")
        self._address = address
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._source: Source | None = None
        self._retry = RETRY
        self._began = 0.0
        self._jobs: set[asyncio.Task[None]] = set()
        self._holder: object = None
        self._unhold: asyncio.TimerHandle | None = None
        self._handout: tuple[SurfaceProducer, int] | None = None

    async def start(self) -> None:
        """Start the source.

        Raises:
            KjuError: QEMU does not take a listener.
        """
        self._began = self._loop.time()
        self._source = await self._make(self.producer, self._report)
        self.status = self._source.status

    def _report(self, status: Status) -> None:
        try:
            self._loop.call_soon_threadsafe(self._changed, status)
        except RuntimeError:
            pass  # the loop has closed: the host is ending

    def _changed(self, status: Status) -> None:
        if self._source is None:
            return
        log.info(
            "console %d: %s %s%s", self.index, status.name, status.phase.value,
            f" ({status.reason})" if status.reason else "",
        )  # fmt: skip
        self.status = status
        if status.need is Need.LARGER:
            self._do(self._enlarge(status.needed))
        elif status.need is Need.REGISTER or status.phase is Phase.ENDED:
            self._do(self._again())

    def _do(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._jobs.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("console %d: %s", self.index, error, exc_info=error)

    async def _enlarge(self, needed: int) -> None:
        """Replace the surface by one with room for *needed* bytes."""
        old = self.producer
        if self._source is None or needed <= old.capacity:
            return
        if old.address:
            # A name has room for one: whoever follows it waits for the next.
            old.close(State.SUPERSEDED)
        try:
            self.producer = SurfaceProducer.create(self._address, capacity=needed)
        except (KjuError, OSError) as error:
            log.error("console %d: no room for the guest's new mode: %s", self.index, error)
            old.set_state(State.UNAVAILABLE, f"no room for the guest's new mode: {error}")
            return
        self._source.retarget(self.producer)
        old.close(State.SUPERSEDED)

    async def _again(self) -> None:
        """Start a new source in place of one that has ended or wants it."""
        if self._loop.time() - self._began > LASTED:
            self._retry = RETRY
        old, wait = self._source, self._retry
        self._retry = min(self._retry * 2, LONGEST_RETRY)
        await asyncio.sleep(wait)
        if old is None or self._source is not old:
            return
        await asyncio.to_thread(old.stop)
        try:
            await self.start()
        except (KjuError, OSError) as error:
            log.warning("console %d: no listener: %s", self.index, error)
            self.producer.set_state(State.UNAVAILABLE, f"QEMU's display is not to be had: {error}")

    async def refresh(self) -> int:
        """Publish what the source has been told so far; return the version."""
        if self._source is not None:
            await asyncio.to_thread(self._source.flush, 0.5)
        return self.producer.version

    async def hold(self, client: object, seconds: float) -> int:
        """Publish nothing until `unhold`, or until *seconds* have passed.

        Raises:
            KjuError: Another client has it, or a publication would not end.
        """
        producer = self.producer
        if self._holder is not None or not producer.hold():
            raise KjuError("the screen is being held for another client; try again")
        self._holder = client
        self._unhold = self._loop.call_later(seconds, self.unhold, client)
        return producer.version

    def unhold(self, client: object) -> None:
        """Go on publishing, if it is this client that stopped it."""
        if self._holder is client and self._holder is not None:
            self._holder = None
            if self._unhold:
                self._unhold.cancel()
            self.producer.unhold()

    def paused(self, now: bool) -> None:
        """The guest's processors have been stopped, or run again."""
        before, after = (State.LIVE, State.PAUSED) if now else (State.PAUSED, State.LIVE)
        if Reader(self.producer.segment.mapping).state_code == before:
            self.producer.set_state(after)

    def handout(self) -> int:
        """A read-only descriptor of the surface, for clients; it stays this object's own."""
        producer = self.producer
        if self._handout is None or self._handout[0] is not producer:
            if self._handout:
                os.close(self._handout[1])
            # Opened anew: a named file's own descriptor can write, and holds its lock.
            path = f"/proc/self/fd/{producer.segment.fileno()}"
            self._handout = (producer, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._handout[1]

    def stop(self, state: State, reason: str) -> None:
        """Stop the source and say the last word."""
        for job in self._jobs:
            job.cancel()
        self.unhold(self._holder)
        # First: whoever waits learns it before the source's thread is waited for.
        self.producer.set_state(state, reason)
        source, self._source = self._source, None
        if source is not None:
            source.stop()
        self.producer.close(state, reason)
        if self._handout:
            os.close(self._handout[1])
            self._handout = None

    def info(self) -> dict[str, Any]:
        """This console, for people and programs."""
        mode = self.producer.mode
        return {
            "index": self.index,
            "label": self.facts.label,
            "device": self.facts.device_address,
            "width": mode.width,
            "height": mode.height,
            "stride": mode.stride,
            "fourcc": fourcc_name(mode.fourcc) if mode.epoch else "",
            "epoch": mode.epoch,
            "version": self.producer.version,
            "incarnation": self.producer.incarnation,
            "address": self.producer.address,
            "source": self.status.name,
            "reason": self.status.reason,
            "keys_held": self.keyboard.held,
        }
