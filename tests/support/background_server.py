"""A server that runs in the background of a block."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeVar


class Runs(Protocol):
    """A server: `kju.serving.server.Server`, `kju.web.server.WebServer`."""

    async def run(self, ready: Callable[[], object]) -> None:
        """Serve until this is cancelled; call *ready* once it serves."""


ServerT = TypeVar("ServerT", bound=Runs)


@contextlib.asynccontextmanager
async def serving(server: ServerT) -> AsyncIterator[ServerT]:
    """Serve in the background of an ``async with``.

    Raises:
        KjuError: The server could not be started.
    """
    ready = asyncio.Event()
    task = asyncio.create_task(server.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield server
    finally:
        waiting.cancel()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
