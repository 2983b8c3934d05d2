"""A surface for asyncio: waits belong to the event loop, one thread per surface sleeps."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import IO, Self

from ...surface import NOTHING_TAKEN, Change, Mark
from ...surface.formats import PixelFormat
from ...surface.geometry import Area
from ..base import touches
from ..frame import Frame
from ..notifier import Notifier
from ..timeouts import DEFAULT_TIMEOUT, Timeout, deadline_of, seconds_of, seconds_to
from .waits import Waits


class Surface(Waits):
    """One surface, opened read-only: see `kju.Surface`. What waits is awaited.

    `view`, `changes_since` and the properties never wait; everything else is awaited.
    """

    _notifier: Notifier | None = None

    async def frame(
        self,
        rect: Area | None = None,
        *,
        pixels: PixelFormat = "rgb",
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Copy the published pixels: see `kju.Surface.frame`.

        A plain copy takes a millisecond and is made at once. A consistent copy may wait up to a
        second for a busy producer, so a thread makes it.
        """
        if consistent:
            return await asyncio.to_thread(
                self._copy_frame, rect, pixels=pixels, consistent=True, cursor=cursor
            )
        return self._copy_frame(rect, pixels=pixels, cursor=cursor)

    async def screenshot(
        self,
        path: str | os.PathLike[str] | IO[bytes],
        rect: Area | None = None,
        *,
        consistent: bool = False,
        cursor: bool = False,
    ) -> Frame:
        """Write the pixels to a picture file: see `kju.Surface.screenshot`. A thread encodes it."""
        frame = await self.frame(rect, consistent=consistent, cursor=cursor)
        await asyncio.to_thread(self._write_picture, path, frame)
        return frame

    async def wait(
        self, since: Mark | None = None, *, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Change:
        """Sleep until pixels change: see `kju.Surface.wait`. May be cancelled."""
        mark = self.mark if since is None else since
        return await self._run(mark, seconds_of(timeout, self.default_timeout))

    async def changes(
        self, since: Mark = NOTHING_TAKEN, *, timeout: Timeout = None
    ) -> AsyncIterator[Change]:
        """Yield changes without end: see `kju.Surface.changes`."""
        seconds = seconds_of(timeout, self.default_timeout)
        while True:
            change = await self._run(since, seconds)
            yield change
            since = change.mark

    async def after(
        self, mark: Mark, *, region: Area | None = None, timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Change:
        """Wait for the first published change after an input: see `kju.Surface.after`."""
        deadline = deadline_of(seconds_of(timeout, self.default_timeout))
        while True:
            change = await self._run(mark, seconds_to(deadline))
            if touches(change, region):
                return change
            mark = change.mark

    async def _run(self, mark: Mark, seconds: float | None) -> Change:
        deadline = deadline_of(seconds)
        while True:
            reader = self._consumer.reader
            version, state = reader.version, reader.state_code
            looked = self._look(mark, deadline, seconds)
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
