"""SHELL: requests of clients for a size of the guest's screen, limited in number.

Rules:

- The newest size wins: a request that waits while a newer one arrives is not passed on itself.
- At most one size is passed on per `INTERVAL`. The last one always is, unless its client cancels.
- The guest decides. It may round the size, take it late or ignore it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

#: Passes a width and a height on to the guest.
RequestSize = Callable[[int, int], Awaitable[object]]

#: Seconds between two sizes. A guest sets a mode in 0.1 to 0.8 s; a window that is dragged has
#: sixty sizes a second.
INTERVAL = 0.25


class ResizeRequests:
    """The requests of all clients for the size of one console.

    Args:
        request_size: Passes a size on to the guest.
    """

    def __init__(self, request_size: RequestSize) -> None:
        self._request_size = request_size
        self._turn = asyncio.Lock()
        self._newest = (0, 0)
        self._received = self._passed_on = 0  # numbers of requests
        self._due = 0.0

    async def request(self, width: int, height: int) -> None:
        """Ask the guest for a size; return when this one or a newer one was passed on.

        Raises:
            KjuError: The emulator did not take the size.
        """
        self._newest = (width, height)
        self._received += 1
        number = self._received
        async with self._turn:
            if self._passed_on >= number:
                return
            loop = asyncio.get_running_loop()
            await asyncio.sleep(self._due - loop.time())
            newest, size = self._received, self._newest
            self._due = loop.time() + INTERVAL
            await self._request_size(*size)
            self._passed_on = newest
