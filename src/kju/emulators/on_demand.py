"""SHELL: a console that does nothing while nobody looks.

Rules:

- Whoever asks for the surface looks until it hangs up. A surface in a named file has consumers
  nobody knows of, so somebody always looks at that.
- Who goes may come back: the console rests only `GRACE` after the last one has gone.
"""

from __future__ import annotations

import abc
import asyncio
import logging

from ..sources.base import Phase, Status
from ..surface import State
from .console import Console, MakeSource
from .input.devices import Devices
from .qemu import dbus

log = logging.getLogger(__name__)

#: How long after the last one has gone somebody may come back and find everything running.
GRACE = 1.0

#: Until a source that is being replaced has been; a listener is registered in 30 ms.
PATIENCE = 1.0

#: A source's status while there is none.
RESTING = Status(Phase.NEW, "none", "nobody looks")


class RestingConsole(Console, abc.ABC):
    """One console that knows who looks; its arguments are those of `Console`."""

    def __init__(
        self,
        index: int,
        facts: dbus.Console,
        address: str,
        make: MakeSource,
        devices: Devices,
        *,
        paused: bool = False,
    ) -> None:
        super().__init__(index, facts, address, make, devices, paused=paused)
        self._lookers: set[object] = {self} if self.producer.address else set()
        self._leaving: asyncio.TimerHandle | None = None
        # Held while a source is chosen, started or ended.
        self._changing = asyncio.Lock()

    @abc.abstractmethod
    async def _wake(self) -> None:
        """Run; returns when there is a picture, or none to be had soon. May run already."""

    @abc.abstractmethod
    def _rest(self) -> None:
        """Begin to end what runs, unless somebody looks by then."""

    async def open(self) -> None:
        """Begin where somebody always looks; else wait for the first who does."""
        if self._lookers:
            await self._wake()
        else:
            self.status = RESTING

    async def look(self, client: object) -> None:
        """A client looks from now on; returns when there is a picture, or none to be had soon."""
        self._lookers.add(client)
        self._stay()
        await self._wake()

    def leave(self, client: object) -> None:
        """A client does not look any more."""
        self._lookers.discard(client)
        if not self._lookers and self._leaving is None:
            self._leaving = self._loop.call_later(GRACE, self._unless_somebody_looks)

    def _unless_somebody_looks(self) -> None:
        self._leaving = None
        if not self._lookers:
            self._rest()

    async def _stop_source(self) -> None:
        """End the source, unless somebody looks by now; what it has published stays."""
        async with self._changing:
            if self._renewing is not None:
                await asyncio.wait({self._renewing}, timeout=PATIENCE)
            if self._lookers:
                return
            self._turn += 1
            self._stale = False
            source, self._source = self._source, None
            self.status = RESTING
            if source is not None:
                log.info("console %d: nobody looks: it rests", self.index)
                await asyncio.to_thread(source.stop)

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def stop(self, state: State, reason: str) -> None:
        """Stop the source and say the last word."""
        self._stay()
        super().stop(state, reason)
