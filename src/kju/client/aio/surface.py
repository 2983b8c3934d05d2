"""A surface for asyncio: waits belong to the event loop, one thread per surface sleeps."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from typing import IO, Literal, Self, overload

from ...surface import NOTHING_TAKEN, Change, Mark
from ...surface.geometry import Area
from ..base import deadline_of, seconds_to, touches
from ..frame import Frame
from ..notifier import Notifier
from .waits import Waits


class Surface(Waits):
    """One surface, opened read-only: see `kju.Surface`. What waits is awaited.

    That is `wait` and `changes`, a `snapshot` that is to be consistent, and `save`.
    """

    _notifier: Notifier | None = None

    @overload
    def snapshot(
        self,
        rect: Area | None = None,
        *,
        consistent: Literal[False] = False,
        cursor: bool = False,
        format: str = "bgrx",
    ) -> Frame: ...
    @overload
    def snapshot(
        self,
        rect: Area | None = None,
        *,
        consistent: Literal[True],
        cursor: bool = False,
        format: str = "bgrx",
    ) -> Awaitable[Frame]: ...
    def snapshot(
        self,
        rect: Area | None = None,
        *,
        consistent: bool = False,
        cursor: bool = False,
        format: str = "bgrx",
    ) -> Frame | Awaitable[Frame]:
        """As `kju.Surface.snapshot`; with ``consistent=True`` the frame is awaited.

        A plain copy takes a millisecond and waits for nobody. A consistent one waits for a
        busy producer, up to a second, and may have it held still: a thread does that.
        """
        if consistent:
            return asyncio.to_thread(
                self._snapshot, rect, consistent=True, cursor=cursor, format=format
            )
        return self._snapshot(rect, cursor=cursor, format=format)

    async def save(
        self,
        target: str | os.PathLike[str] | IO[bytes],
        rect: Area | None = None,
        *,
        cursor: bool = False,
        consistent: bool = False,
    ) -> Frame:
        """As `kju.Surface.save`: a thread compresses and writes."""
        return await asyncio.to_thread(
            self._save, target, rect, cursor=cursor, consistent=consistent
        )

    async def wait(self, since: Mark | None = None, timeout: float | None = None) -> Change:
        """As `kju.Surface.wait`, in the event loop; may be cancelled."""
        mark = self.mark if since is None else since
        return await self._run(mark, timeout)

    async def changes(
        self, since: Mark = NOTHING_TAKEN, timeout: float | None = None
    ) -> AsyncIterator[Change]:
        """As `kju.Surface.changes`, in the event loop."""
        while True:
            change = await self._run(since, timeout)
            yield change
            since = change.mark

    async def after(
        self, mark: Mark, *, region: Area | None = None, timeout: float | None
    ) -> Change:
        """As `kju.Surface.after`, in the event loop."""
        deadline = deadline_of(timeout)
        while True:
            change = await self._run(mark, seconds_to(deadline))
            if touches(change, region):
                return change
            mark = change.mark

    async def _run(self, mark: Mark, timeout: float | None) -> Change:
        deadline = deadline_of(timeout)
        while True:
            reader = self._consumer.reader
            version, state = reader.version, reader.state_code
            looked = self._look(mark, deadline, timeout)
            if isinstance(looked, Change):
                return looked
            await self._sleep(looked, version, state)

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

    async def __aexit__(self, *_: object) -> None:
        self.close()
