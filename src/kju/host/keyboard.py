"""Who holds which key. Several clients share one keyboard per console.

Rules:

- A key goes down in the guest when the first client presses it and comes up when the last
  one lets go; a client that leaves lets go of everything.
- Steps of one request are sent without another client's between them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence

from ..errors import KjuError
from ..keys import Step

log = logging.getLogger(__name__)

Send = Callable[[int, bool], Awaitable[None]]


class Keyboard:
    """One console's keyboard.

    Args:
        send: Presses or releases one key in the guest.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._holders: dict[int, set[Hashable]] = {}

    @property
    def held(self) -> list[int]:
        """The keys that are down, sorted."""
        return sorted(self._holders)

    async def press(self, client: Hashable, steps: Sequence[Step], interval: float) -> None:
        """Send steps for one client, *interval* seconds apart.

        Raises:
            KjuError: QEMU did not take a step; the ones before it were sent.
        """
        async with self._turn:
            for index, (key, down) in enumerate(steps):
                if index:
                    await asyncio.sleep(interval)
                await self._step(client, key, down)

    async def _step(self, client: Hashable, key: int, down: bool) -> None:
        holders = self._holders.setdefault(key, set())
        others = holders - {client}
        if down:
            # Noted before it is sent: a step that fails half-way is released, not forgotten.
            holders.add(client)
        else:
            holders.discard(client)
        if not holders:
            del self._holders[key]
        if not others:
            await self._send(key, down)

    async def leave(self, client: Hashable) -> None:
        """Let go of everything a client holds. Errors are logged: there is nobody to tell."""
        async with self._turn:
            for key in [k for k, holders in self._holders.items() if client in holders]:
                try:
                    await self._step(client, key, False)
                except KjuError as error:
                    log.warning("key %d could not be released: %s", key, error)
