"""SHELL: a supervisor keeps one source running for a console; `TRANSITIONS` is its state table.

A `SourceKind` starts sources of one class. A `SourcePolicy` chooses one of them whenever the
supervisor needs a source. To add a source to an emulator, write a kind and name it in the
emulator's policy (for QEMU: `kju.emulators.qemu.display.source_policy.KINDS`).

Rules:

- Everything runs in the host's event loop. A status from a source's thread is passed there first.
- At most one source fills the surface: the old one is stopped before the next one starts.
- The source publishes LIVE and PAUSED. While no source runs, the surface does (`set_paused`).
- Each start, rest and close begins a new generation. A status of an older generation is ignored.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import logging
from enum import Enum

from ..errors import KjuError
from ..memory import SurfaceProducer
from ..sources.base import Need, OnStatus, Phase, Source, SourceStatus
from ..surface import State
from .console_surface import ConsoleSurface
from .tasks import Tasks

log = logging.getLogger(__name__)

#: Seconds until an ended source is replaced: `RETRY`, doubled with each further replacement up to
#: `_LONGEST_RETRY`, and `RETRY` again once a source has run for `_LASTED`. QEMU 7.2 needs a new
#: listener at each change of a text mode, so the first replacement must be quick.
RETRY = 0.05
_LONGEST_RETRY = 12.8
_LASTED = 10.0
#: Seconds that `flush` waits for the source.
_FLUSH_TIMEOUT = 0.5

#: The status while no client views the console.
_AT_REST = SourceStatus(Phase.NEW, "none", "no client views this console")


class SourceKind(abc.ABC):
    """Starts the sources of one class for one console."""

    #: Whether the source keeps running while no client views the console.
    stays_at_rest = False
    #: Whether the source receives pixels some time after the guest has drawn them.
    is_delayed = False

    @abc.abstractmethod
    async def start(self, producer: SurfaceProducer, on_status: OnStatus, paused: bool) -> Source:
        """Start a source.

        Args:
            producer: The producer to fill.
            on_status: Receives every new status, in any thread.
            paused: Whether the machine is paused.

        Raises:
            KjuError: The source cannot be started.
        """

    def is_replaceable(self) -> bool:
        """Return whether another source would help when a source of this kind has ended."""
        return True


class SourcePolicy(abc.ABC):
    """Chooses the source of one console."""

    @abc.abstractmethod
    def choose(self, last: SourceStatus) -> SourceKind:
        """Return the kind of source that fills the console from now on.

        Args:
            last: The last status of the source before.
        """


class SingleSource(SourcePolicy):
    """Always chooses the same kind."""

    def __init__(self, kind: SourceKind) -> None:
        self.kind = kind

    def choose(self, last: SourceStatus) -> SourceKind:
        """Return the only kind."""
        return self.kind


class SupervisorState(Enum):
    """The states of a supervisor."""

    IDLE = "no source, and none is wanted"
    STARTING = "a source is being started"
    OUTDATED = "a source is being started, and another one is wanted already"
    RUNNING = "a source fills the surface"
    DUE = "another source is wanted, and waits for its time"
    CLOSED = "the console has ended"


class SupervisorEvent(Enum):
    """The events that change the state."""

    START = "a start begins"
    STARTED = "the source runs"
    FAILED = "the source could not be started"
    REPLACE = "another source is wanted"
    REST = "no source is wanted"
    CLOSE = "the console ends"


#: The state after each event; an event that is not listed changes nothing.
TRANSITIONS: dict[tuple[SupervisorState, SupervisorEvent], SupervisorState] = {
    (SupervisorState.IDLE, SupervisorEvent.START): SupervisorState.STARTING,
    (SupervisorState.IDLE, SupervisorEvent.REPLACE): SupervisorState.DUE,
    (SupervisorState.IDLE, SupervisorEvent.REST): SupervisorState.IDLE,
    (SupervisorState.STARTING, SupervisorEvent.STARTED): SupervisorState.RUNNING,
    (SupervisorState.STARTING, SupervisorEvent.FAILED): SupervisorState.IDLE,
    (SupervisorState.STARTING, SupervisorEvent.REPLACE): SupervisorState.OUTDATED,
    (SupervisorState.STARTING, SupervisorEvent.REST): SupervisorState.IDLE,
    (SupervisorState.OUTDATED, SupervisorEvent.STARTED): SupervisorState.DUE,
    (SupervisorState.OUTDATED, SupervisorEvent.FAILED): SupervisorState.IDLE,
    (SupervisorState.OUTDATED, SupervisorEvent.REPLACE): SupervisorState.OUTDATED,
    (SupervisorState.OUTDATED, SupervisorEvent.REST): SupervisorState.IDLE,
    (SupervisorState.RUNNING, SupervisorEvent.REPLACE): SupervisorState.DUE,
    (SupervisorState.RUNNING, SupervisorEvent.REST): SupervisorState.IDLE,
    (SupervisorState.DUE, SupervisorEvent.START): SupervisorState.STARTING,
    (SupervisorState.DUE, SupervisorEvent.REPLACE): SupervisorState.DUE,
    (SupervisorState.DUE, SupervisorEvent.REST): SupervisorState.IDLE,
    **{
        (state, SupervisorEvent.CLOSE): SupervisorState.CLOSED
        for state in SupervisorState
        if state is not SupervisorState.CLOSED
    },
}


class _Backoff:
    """The time between two starts of a source: doubled each time, until a source has lasted."""

    def __init__(self) -> None:
        self.seconds = RETRY
        self._started_at = 0.0
        self._hurry = asyncio.Event()

    def note_start(self) -> None:
        """Note that a source is being started now."""
        self._started_at = asyncio.get_running_loop().time()

    def hurry(self) -> None:
        """End the wait: the previous source has not failed."""
        self._hurry.set()

    async def wait(self) -> None:
        """Wait until the next source may start."""
        if asyncio.get_running_loop().time() - self._started_at > _LASTED:
            self.seconds = RETRY
        seconds, self.seconds = self.seconds, min(self.seconds * 2, _LONGEST_RETRY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        if self._hurry.is_set():
            self._hurry.clear()
            self.seconds = seconds  # not a failure: the next wait is no longer


class Supervisor:
    """Keeps the source of one console running.

    Args:
        surface: The surface to fill.
        policy: Chooses the kind of each source.
        paused: Whether the machine is paused.

    Attributes:
        state: Its state.
        source: The source; None while none runs.
        kind: The kind of the newest source.
        status: The last status of the source.
    """

    def __init__(
        self, surface: ConsoleSurface, policy: SourcePolicy, *, paused: bool = False
    ) -> None:
        self.surface = surface
        self.state = SupervisorState.IDLE
        self.source: Source | None = None
        self.kind: SourceKind | None = None
        self.status = SourceStatus(Phase.NEW, "none")
        self._loop = asyncio.get_running_loop()
        self._policy = policy
        self._paused = paused
        self._rate: float | None = None
        self._generation = 0
        self._backoff = _Backoff()
        self._replacing: asyncio.Task[None] | None = None
        self._tasks = Tasks()

    @property
    def current_kind(self) -> SourceKind | None:
        """The kind of the source that runs or is being started; None otherwise."""
        starting = self.state in (SupervisorState.STARTING, SupervisorState.OUTDATED)
        return self.kind if starting or self.source is not None else None

    def _move(self, event: SupervisorEvent) -> bool:
        """Enter the next state; returns whether *event* counts in this one."""
        state = TRANSITIONS.get((self.state, event))
        if state is not None:
            self.state = state
        return state is not None

    async def start(self) -> None:
        """Start the source that the policy chooses. Does nothing unless the state is IDLE.

        Raises:
            KjuError: The source cannot be started.
        """
        if self.state is SupervisorState.IDLE:
            await self._start()

    async def _start(self) -> None:
        self._move(SupervisorEvent.START)
        self._generation += 1
        self._backoff.note_start()
        # Both may change while the kind starts its source: that takes a round trip to QEMU.
        generation, paused = self._generation, self._paused
        producer = self.surface.producer
        if paused and not producer.mode.epoch:
            producer.set_state(State.PAUSED)  # a new surface is LIVE
        self.kind = kind = self._policy.choose(self.status)
        try:
            source = await kind.start(
                producer, functools.partial(self._pass_status, generation), paused
            )
        except BaseException:
            # In another generation the state is that of the rest or the close.
            if generation == self._generation:
                self._move(SupervisorEvent.FAILED)
            raise
        if generation != self._generation:  # at rest or closed meanwhile: nothing else stops it
            await asyncio.to_thread(source.stop)
            return
        self.source = source
        self._move(SupervisorEvent.STARTED)
        if self._rate is not None:
            source.set_rate(self._rate)
        if self._paused is not paused:
            source.set_paused(self._paused)
        # A status that the source reported while it started was ignored: it was not `self.source`.
        self._set_status(generation, source.status)

    def _pass_status(self, generation: int, status: SourceStatus) -> None:
        """Pass a status from the source's thread to the loop."""
        try:
            self._loop.call_soon_threadsafe(self._set_status, generation, status)
        except RuntimeError:
            pass  # the loop is closed: the host is ending

    def _set_status(self, generation: int, status: SourceStatus) -> None:
        if self.source is None or self.kind is None or generation != self._generation:
            return
        log.info(
            "console %d: %s %s%s", self.surface.index, status.name, status.phase.value,
            f" ({status.reason})" if status.reason else "",
        )  # fmt: skip
        self.status = status
        if status.need is Need.LARGER:
            self.surface.enlarge(status.needed, self.source.retarget)
            return
        is_worse = status.need is Need.REGISTER or status.phase is Phase.ENDED
        if is_worse and self.kind.is_replaceable():
            self.replace_source()

    def replace_source(self, *, at_once: bool = False) -> asyncio.Task[None] | None:
        """Start another source in place of this one.

        Args:
            at_once: Do not wait for the backoff: the source has not failed.

        Returns:
            Done once there is another source; None once the console has ended.
        """
        if not self._move(SupervisorEvent.REPLACE):
            return None
        if at_once:
            self._backoff.hurry()
        if self._replacing is None or self._replacing.done():
            self._replacing = self._tasks.begin(self._replace())
        return self._replacing

    async def _replace(self) -> None:
        while self.state is SupervisorState.DUE:
            await self._backoff.wait()
            await self._stop_source()
            if self.state is not SupervisorState.DUE:  # at rest meanwhile
                return
            generation = self._generation + 1
            try:
                await self._start()
            except (KjuError, OSError) as error:
                log.warning("console %d: no source: %s", self.surface.index, error)
                if generation == self._generation and self._move(SupervisorEvent.REPLACE):
                    reason = f"the emulator's display is unavailable: {error}"
                    self.surface.producer.set_state(State.UNAVAILABLE, reason)

    async def _stop_source(self) -> None:
        self._generation += 1
        source, self.source = self.source, None
        if source is not None:
            await asyncio.to_thread(source.stop)

    async def settle(self, seconds: float) -> None:
        """Wait until no source is being replaced, for *seconds* at most."""
        if self._replacing is not None:
            await asyncio.wait({self._replacing}, timeout=seconds)

    async def rest(self) -> None:
        """Stop the source; its last picture stays published."""
        if self._move(SupervisorEvent.REST):
            self.status = _AT_REST
            await self._stop_source()

    async def flush(self) -> None:
        """Publish everything that the emulator has sent so far."""
        if self.source is not None:
            await asyncio.to_thread(self.source.flush, _FLUSH_TIMEOUT)

    def set_paused(self, paused: bool) -> None:
        """Publish that the machine is paused, or runs again."""
        self._paused = paused
        if self.source is not None:
            self.source.set_paused(paused)
        else:
            self.surface.set_paused(paused)

    def set_rate(self, rate: float | None) -> None:
        """Have this source and later ones publish for viewers that look this often."""
        if rate != self._rate:
            self._rate = rate
            if self.source is not None:
                self.source.set_rate(rate)

    def hand_over(self) -> ConsoleSurface:
        """Stop the source for ever, and return the surface, which another supervisor fills next."""
        self._move(SupervisorEvent.CLOSE)
        self._generation += 1
        self._tasks.cancel()
        self.surface.release_hold()
        source, self.source = self.source, None
        if source is not None:
            source.stop()
        return self.surface

    def close(self, state: State, reason: str) -> None:
        """Stop the source and publish the final state."""
        self._move(SupervisorEvent.CLOSE)
        self._generation += 1
        self._tasks.cancel()
        self.surface.release_hold()
        # First, so that consumers learn the state before this call waits for the source's thread.
        self.surface.producer.set_state(state, reason)
        source, self.source = self.source, None
        if source is not None:
            source.stop()
        self.surface.close(state, reason)
