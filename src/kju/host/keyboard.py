"""Who holds which key. Several clients share one keyboard per console.

Rules:

- A key goes down in the guest when the first client presses it and comes up when the last
  one lets go; a client that leaves lets go of everything.
- A key that QEMU did not release is held still, by its client; of one that has left it is
  released before anything else is pressed.
- Steps of one request are sent without another client's between them, so a request is short.
- A request that is broken off releases at once what it would have released.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence

from ..errors import KjuError, UsageError
from ..keys import Step
from .messages import LONGEST_KEYS

log = logging.getLogger(__name__)

#: Seconds that one request may take.
LONGEST = LONGEST_KEYS / 1000

Send = Callable[[int, bool], Awaitable[None]]


class _Left:
    """Stands for the clients that left keys down."""


_LEFT = _Left()


class Keyboard:
    """One console's keyboard.

    Args:
        send: Presses or releases one key in the guest.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._holders: dict[int, set[Hashable]] = {}
        self._last = float("-inf")

    @property
    def held(self) -> list[int]:
        """The keys that are down, sorted."""
        return sorted(self._holders)

    async def press(self, client: Hashable, steps: Sequence[Step], interval: float) -> None:
        """Send steps for one client, at least *interval* seconds after whatever came before.

        Raises:
            UsageError: They would take too long; nothing was sent.
            KjuError: QEMU did not take a step; of the others the releases were sent.
        """
        if len(steps) * interval > LONGEST:
            raise UsageError(
                f"{len(steps)} keyboard steps, {interval:g} s apart, take longer than the"
                f" {LONGEST:g} s that a request may: divide them"
            )
        async with self._turn:
            await self._release(_LEFT)
            for index, (key, down) in enumerate(steps):
                try:
                    await self._pace(interval)
                    await self._step(client, key, down)
                except BaseException:
                    await self._break_off(client, steps[index:])
                    raise

    async def _pace(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        # Counted from the last step, whoever sent it: the slowest keyboards lose keys else.
        if (wait := self._last + interval - loop.time()) > 0:
            await asyncio.sleep(wait)
        self._last = loop.time()

    async def _break_off(self, client: Hashable, steps: Sequence[Step]) -> None:
        """Release what the rest of a request would have released."""
        for key in {key: None for key, down in steps if not down}:
            if client in self._holders.get(key, ()):
                await self._try_to_release(client, key)

    async def _step(self, client: Hashable, key: int, down: bool) -> None:
        others = self._holders.get(key, set()) - {client}
        if down:
            # Noted before it is sent: a step that fails half-way is released, not forgotten.
            self._holders.setdefault(key, set()).add(client)
        if not others:
            await self._send(key, down)
        if not down:
            # And after it: who could not let go holds it still.
            self._forget(client, key)

    def _forget(self, client: Hashable, key: int) -> None:
        holders = self._holders.get(key, set())
        holders.discard(client)
        if not holders:
            self._holders.pop(key, None)

    async def _try_to_release(self, client: Hashable, key: int) -> bool:
        try:
            await self._step(client, key, False)
        except KjuError as error:
            log.warning("key %d could not be released: %s", key, error)
            return False
        return True

    async def _release(self, client: Hashable) -> list[int]:
        """Let go of everything a client holds; return what stayed down."""
        keys = [key for key, holders in self._holders.items() if client in holders]
        return [key for key in keys if not await self._try_to_release(client, key)]

    async def leave(self, client: Hashable) -> None:
        """Let go of everything a client holds. Errors are logged: there is nobody to tell."""
        async with self._turn:
            for key in await self._release(client):
                self._holders[key].add(_LEFT)
                self._forget(client, key)

    async def settle(self) -> None:
        """Release what clients that have left could not: QEMU may be told again."""
        async with self._turn:
            await self._release(_LEFT)
