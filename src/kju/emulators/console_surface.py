"""SHELL: the surface of one console: a larger one in its place, holds, and descriptors of it.

Rules:

- A surface that is too small for the guest's mode is superseded: the source fills the new one
  first, then the old one changes its state.
- A hold ends with its surface, its client or its time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import NamedTuple

from ..errors import KjuError, UsageError
from ..memory import SurfaceProducer
from ..protocol.launch_options import Launch
from ..surface import Mark, State
from ..surface._core import Reader

log = logging.getLogger(__name__)

#: Bytes of pixels that a surface has room for. The memory is sparse: what no mode uses is never
#: allocated. 64 MiB hold 3840x2160 twice; a larger mode gets a larger surface.
CAPACITY = 64 << 20


#: Receives the number of a console and its producer, which has a new mode.
OnMode = Callable[[int, SurfaceProducer], object]


def surface_address(request: Launch, name: str, index: int) -> str:
    """Return the address of a console's surface.

    Args:
        request: The machine's launch.
        name: The machine's name.
        index: The console, as clients count.
    """
    if not request.surface:
        return f"memfd:kju-{name}-{index}"[:200]
    return request.surface + (f".{index}" if index else "")


class _ScreenHold(NamedTuple):
    """A surface in which nothing is published.

    Attributes:
        client: The client that holds it.
        producer: The held producer: the console may have a larger one meanwhile.
        timer: Ends the hold.
    """

    client: object
    producer: SurfaceProducer
    timer: asyncio.TimerHandle


class ConsoleSurface:
    """The surface of one console; use it from the host's event loop.

    Args:
        index: The console, as clients count.
        address: The place of the surface, as `SurfaceProducer.create` takes it.
        on_mode: Called in the loop after each change of the mode, with *index* and the producer.

    Attributes:
        producer: The producer of the current surface.

    Raises:
        UsageError: No surface can be made at *address*.
        KjuError: Out of memory, or the address is in use.
    """

    def __init__(self, index: int, address: str, on_mode: OnMode) -> None:
        self.index = index
        self._on_mode = on_mode
        self._loop = asyncio.get_running_loop()
        self._address = address
        self._hold: _ScreenHold | None = None
        self._handout: tuple[SurfaceProducer, int] | None = None
        self._replaced: SurfaceProducer | None = None
        try:
            self.producer = self._create(CAPACITY)
        except OSError as error:
            why = f"the surface {address} cannot be made: {error.strerror}"
            raise UsageError(f"{why}; choose another place") from error

    @property
    def mark(self) -> Mark:
        """The mark of the newest published version."""
        producer = self.producer
        return Mark(producer.incarnation, producer.mode.epoch, producer.version)

    @property
    def has_name(self) -> bool:
        """True if other processes may open it without asking the host."""
        return bool(self.producer.address)

    @property
    def is_held(self) -> bool:
        """True if a client holds the pixels."""
        return self._hold is not None

    def _create(self, capacity: int) -> SurfaceProducer:
        return SurfaceProducer.create(self._address, capacity=capacity, on_mode=self._note_mode)

    def _note_mode(self) -> None:
        """Pass a new mode from the source's thread to the loop."""
        try:
            # The producer as it is then: the mode may be the first of a larger surface.
            self._loop.call_soon_threadsafe(lambda: self._on_mode(self.index, self.producer))
        except RuntimeError:
            pass  # the loop is closed: the host is ending

    def enlarge(self, needed: int, retarget: Callable[[SurfaceProducer], object]) -> None:
        """Replace the surface by one with room for *needed* bytes of pixels.

        If that fails, the old surface stays, in the state UNAVAILABLE.

        Args:
            needed: Bytes of pixels.
            retarget: Makes the source fill the new surface.
        """
        old = self.producer
        if needed <= old.capacity:
            return
        # The hold's surface is about to be superseded, and the source may be waiting for it.
        self.release_hold()
        if old.address:
            # A name leads to one surface only: close the old one before the next is made. Clients
            # that follow the name wait for the next one.
            old.close(State.SUPERSEDED)
        try:
            self.producer = self._create(needed)
        except (KjuError, OSError) as error:
            log.error("console %d: no room for the guest's new mode: %s", self.index, error)
            old.set_state(State.UNAVAILABLE, f"no room for the guest's new mode: {error}")
            return
        retarget(self.producer)
        old.close(State.SUPERSEDED)

    def begin_replacement(self) -> None:
        """Fill a new surface from now on: the guest's memory behind the old one no longer exists.

        Clients see the old one until `end_replacement`, unless it has a name.

        Raises:
            KjuError: Out of memory.
        """
        self.release_hold()
        old = self.producer
        if old.address:
            # A name leads to one surface only.
            old.close(State.SUPERSEDED)
        self.producer = self._create(old.capacity)
        if not old.address:
            self._replaced = old

    def end_replacement(self) -> None:
        """Lead clients to the new surface, which has a picture now."""
        old, self._replaced = self._replaced, None
        if old is not None:
            old.close(State.SUPERSEDED)

    def set_paused(self, paused: bool) -> None:
        """Change the state between LIVE and PAUSED; other states stay. For a console at rest."""
        before, after = (State.LIVE, State.PAUSED) if paused else (State.PAUSED, State.LIVE)
        if Reader(self.producer.memory.mapping).state_code == before:
            self.producer.set_state(after)

    async def hold(self, client: object, seconds: float) -> int:
        """Publish nothing until `unhold`, or until *seconds* have passed; returns the version.

        Raises:
            KjuError: Another client holds it, or a publication does not end.
        """
        producer = self.producer
        if self._hold is not None or not producer.hold():
            raise KjuError("the screen is being held for another client; try again")
        timer = self._loop.call_later(seconds, self.unhold, client)
        self._hold = _ScreenHold(client, producer, timer)
        return producer.version

    def unhold(self, client: object) -> None:
        """Publish again, if this client holds it."""
        if self._hold is not None and self._hold.client is client:
            self.release_hold()

    def release_hold(self) -> None:
        """Publish again, whichever client holds it."""
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.timer.cancel()
            hold.producer.unhold()

    def descriptor(self) -> int:
        """Return a read-only descriptor of the surface for clients; this object keeps owning it."""
        producer = self.producer
        if self._handout is None or self._handout[0] is not producer:
            if self._handout:
                os.close(self._handout[1])
            # Opened anew: the descriptor of a named file can write, and carries its lock.
            path = f"/proc/self/fd/{producer.memory.fileno()}"
            self._handout = (producer, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return self._handout[1]

    def close(self, state: State, reason: str) -> None:
        """Publish the final state and release everything."""
        self.release_hold()
        old, self._replaced = self._replaced, None
        if old is not None:
            old.close(state, reason)
        self.producer.close(state, reason)
        if self._handout:
            os.close(self._handout[1])
            self._handout = None
