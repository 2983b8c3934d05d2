"""A surface for asyncio: waits belong to the event loop, one thread per surface sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from ..surface import NOTHING_TAKEN, Change, Mark
from .base import SurfaceBase, Waiting
from .notifier import Notifier


class AsyncSurface(SurfaceBase):
    """One surface, opened read-only: see `SurfaceBase`. Only waiting is asynchronous."""

    _notifier: Notifier | None = None

    async def wait(self, since: Mark | None = None, timeout: float | None = None) -> Change:
        """As `kju.Surface.wait`, in the event loop; may be cancelled."""
        mark = self.mark if since is None else since
        return await self._run(self._waiting(mark, timeout))

    async def changes(
        self, since: Mark = NOTHING_TAKEN, timeout: float | None = None
    ) -> AsyncIterator[Change]:
        """As `kju.Surface.changes`, in the event loop."""
        while True:
            change = await self._run(self._waiting(since, timeout))
            yield change
            since = change.mark

    async def _run(self, waiting: Waiting) -> Change:
        try:
            while True:
                reader = self._consumer.reader
                version, state = reader.version, reader.state_code
                await self._sleep(next(waiting), version, state)
        except StopIteration as done:
            change: Change = done.value
            return change

    async def _sleep(self, milliseconds: int, version: int, state: int) -> None:
        if self._notifier is None:
            self._notifier = Notifier()
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:
                pass  # the loop has closed: nobody waits there any more

        number = self._notifier.add(self._consumer.reader, version, state, wake)
        try:
            await asyncio.wait_for(woken.wait(), milliseconds / 1000)
        except TimeoutError:
            pass
        finally:
            self._notifier.remove(number)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
