"""SHELL: one console: its surface, and the source that fills it.

Rules:

- Everything here runs in the host's event loop; what a source reports from its thread is
  brought there first.
- At any time at most one source fills the surface: the old one is stopped before the next is
  started.
- A surface that has become too small is superseded: the new one is filled first, then the
  old one says so.
- Whoever fills the surface says whether it is live or paused; the host does where nobody does.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from ..errors import KjuError, UnavailableError
from ..memory import SurfaceProducer
from ..sources.base import Need, OnStatus, Phase, Source, Status
from ..surface import Mark, State
from ..surface._core import Reader
from ..surface.formats import fourcc_name
from .input.devices import Devices
from .qemu import dbus

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
#: Seconds for a listener to hear of a size that QEMU has announced for its console: QEMU tells
#: listeners at its next tick, in 30 ms, and consoles at once.
HEARD = 0.1

#: Starts a source for this producer; it tells what it does through the report. The flag says
#: whether the machine is paused.
MakeSource = Callable[[SurfaceProducer, OnStatus, bool], Awaitable[Source]]


class Held(NamedTuple):
    """A surface that is held still.

    Attributes:
        client: For whom.
        producer: Whose: a larger one may take its place meanwhile.
        timer: Ends it.
    """

    client: object
    producer: SurfaceProducer
    timer: asyncio.TimerHandle


class Console:
    """One console of a machine.

    Args:
        index: As clients count: graphic consoles in QEMU's order, from 0.
        facts: What QEMU says of it.
        address: Where the surface is to be made, as `SurfaceProducer.create` takes it.
        make: Starts the source.
        devices: What clients drive it with.
        paused: Whether the machine is.
        no_memory: Why the guest's own pixels cannot be had.
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
        no_memory: str = "",
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.index = index
        self.facts = facts
        self.devices = devices
        #: Is told of each new mode, in the loop.
        self.on_mode: Callable[[Console], object] = lambda console: None
        self.producer = self._new_surface(address, CAPACITY)
        self.status = Status(Phase.NEW, "none")
        self._no_memory = no_memory
        self._address = address
        self._make = make
        self._source: Source | None = None
        self._paused = paused
        self._size = (facts.width, facts.height)
        self._hearing: asyncio.TimerHandle | None = None
        # Counts sources: what an old one still has to say is not listened to.
        self._turn = 0
        self._stale = False
        self._renewing: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self._retry = RETRY
        self._began = 0.0
        self._jobs: set[asyncio.Task[None]] = set()
        self._held: Held | None = None
        self._handout: tuple[SurfaceProducer, int] | None = None

    @property
    def mark(self) -> Mark:
        """What has been published."""
        producer = self.producer
        return Mark(producer.incarnation, producer.mode.epoch, producer.version)

    async def open(self) -> None:
        """Begin: the machine is there.

        Raises:
            KjuError: QEMU does not take a listener.
        """
        await self.start()

    async def look(self, client: object) -> None:
        """A client looks from now on. Here a source runs always, and knows without being told."""

    def leave(self, client: object) -> None:
        """A client does not look any more."""

    def hint(self) -> None:
        """Something has happened after which the mode may be another."""

    def doubt(self) -> None:
        """What is shown may be something else by now, mode and all: look soon, and twice."""
        self.hint()

    def _new_surface(self, address: str, capacity: int) -> SurfaceProducer:
        producer = SurfaceProducer.create(address, capacity=capacity)
        producer.mode_changed = self._mode_changed_in_a_thread
        return producer

    def _mode_changed_in_a_thread(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._tell_mode)
        except RuntimeError:
            pass  # the loop has closed: the host is ending

    def _tell_mode(self) -> None:
        self.on_mode(self)

    def input(self) -> None:
        """A client has sent an input."""

    def live_window(self) -> int:
        """A read-only descriptor of what the guest itself draws in, for clients.

        Raises:
            UnavailableError: There is none.
        """
        raise UnavailableError(f"console {self.index} has no live window")

    async def start(self) -> None:
        """Start the source.

        Raises:
            KjuError: QEMU does not take a listener.
        """
        self._began = self._loop.time()
        self._turn += 1
        turn, paused = self._turn, self._paused
        if paused and not self.producer.mode.epoch:
            self.producer.set_state(State.PAUSED)  # a new surface says LIVE
        report = functools.partial(self._report, turn)
        self._source = source = await self._make(self.producer, report, paused)
        if self._paused is not paused:
            source.set_paused(self._paused)
        # It may have asked for something before it was ours.
        self._changed(turn, source.status)

    def _report(self, turn: int, status: Status) -> None:
        try:
            self._loop.call_soon_threadsafe(self._changed, turn, status)
        except RuntimeError:
            pass  # the loop has closed: the host is ending

    def _changed(self, turn: int, status: Status) -> None:
        if self._source is None or turn != self._turn:
            return
        log.info(
            "console %d: %s %s%s", self.index, status.name, status.phase.value,
            f" ({status.reason})" if status.reason else "",
        )  # fmt: skip
        self.status = status
        if status.need is Need.LARGER:
            self._do(self._enlarge(status.needed))
        elif status.need is Need.REGISTER or status.phase is Phase.ENDED:
            self._renew()

    def announced(self, values: dict[str, Any]) -> None:
        """QEMU says that properties of this console have changed.

        That is the only sign of some changes of the mode: QEMU before 9.2 does not tell a
        listener of a text mode, and rectangles of a smaller one look like the larger one's.
        """
        width, height = (values.get(name, old) for name, old in zip(
            ("Width", "Height"), self._size, strict=True
        ))  # fmt: skip
        if not (isinstance(width, int) and isinstance(height, int)):
            log.warning("console %d: a size that is none: %r", self.index, (width, height))
            return
        self._size = (width, height)
        if self._hearing:
            self._hearing.cancel()
        self._hearing = self._loop.call_later(HEARD, self._compare_sizes)

    def _compare_sizes(self) -> None:
        heard = self._source.size if self._source else None
        if heard is not None and heard != self._size:
            log.info(
                "console %d: QEMU shows %dx%d and its listener was told %dx%d: another is needed",
                self.index, *self._size, *heard,
            )  # fmt: skip
            self._hurry.set()
            self._renew()

    def _renew(self) -> None:
        """Have another source started in place of this one."""
        self._stale = True
        if self._renewing is None or self._renewing.done():
            self._renewing = self._do(self._again())

    def _do(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._jobs.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._jobs.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("console %d: %s", self.index, error, exc_info=error)

    async def _enlarge(self, needed: int) -> None:
        """Replace the surface by one with room for *needed* bytes."""
        old = self.producer
        if self._source is None or needed <= old.capacity:
            return
        # Nobody looks for long at a surface that is superseded, and its source may be waiting.
        self._let_go()
        if old.address:
            # A name has room for one: whoever follows it waits for the next.
            old.close(State.SUPERSEDED)
        try:
            self.producer = self._new_surface(self._address, needed)
        except (KjuError, OSError) as error:
            log.error("console %d: no room for the guest's new mode: %s", self.index, error)
            old.set_state(State.UNAVAILABLE, f"no room for the guest's new mode: {error}")
            return
        self._source.retarget(self.producer)
        old.close(State.SUPERSEDED)

    async def _again(self) -> None:
        """Start a new source in place of one that has ended or wants it, until there is one."""
        while self._stale:
            await self._pause_between()
            self._turn += 1
            self._stale = False
            if self._source is not None:
                await asyncio.to_thread(self._source.stop)
                self._source = None
            try:
                await self.start()
            except (KjuError, OSError) as error:
                self._stale = True
                log.warning("console %d: no listener: %s", self.index, error)
                reason = f"QEMU's display is not to be had: {error}"
                self.producer.set_state(State.UNAVAILABLE, reason)

    async def _pause_between(self) -> None:
        if self._loop.time() - self._began > LASTED:
            self._retry = RETRY
        wait, self._retry = self._retry, min(self._retry * 2, LONGEST_RETRY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._hurry.wait()
        if self._hurry.is_set():
            # QEMU has done nothing wrong: how long the next one has to wait stays as it was.
            self._hurry.clear()
            self._retry = wait

    async def refresh(self, *, sync: bool) -> int:
        """Publish what the source has been told so far; return the version.

        Args:
            sync: Read the guest's mode first, where it is not told.
        """
        if self._source is not None:
            await asyncio.to_thread(self._source.flush, 0.5)
        return self.producer.version

    async def hold(self, client: object, seconds: float) -> int:
        """Publish nothing until `unhold`, or until *seconds* have passed.

        Raises:
            KjuError: Another client has it, or a publication would not end.
        """
        producer = self.producer
        if self._held is not None or not producer.hold():
            raise KjuError("the screen is being held for another client; try again")
        timer = self._loop.call_later(seconds, self.unhold, client)
        self._held = Held(client, producer, timer)
        return producer.version

    def unhold(self, client: object) -> None:
        """Go on publishing, if it is this client that stopped it."""
        if self._held is not None and self._held.client is client:
            self._let_go()

    def _let_go(self) -> None:
        """Go on publishing, whoever stopped it."""
        held, self._held = self._held, None
        if held is not None:
            held.timer.cancel()
            held.producer.unhold()

    def paused(self, now: bool) -> None:
        """The guest's processors have been stopped, or run again."""
        self._paused = now
        if self._source is not None:
            self._source.set_paused(now)
            return
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
        if self._hearing:
            self._hearing.cancel()
        self._turn += 1
        self._let_go()
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
            "no_vram": self._no_memory,
            **self.devices.info(),
        }
