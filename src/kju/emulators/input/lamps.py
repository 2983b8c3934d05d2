"""The lamps of one console's keyboard, as the emulator announces them.

A guest lights them some time after it has read a lock key. So after such a key they are read when a
change is announced, or after `SETTLE_SECONDS`: the guest may not use its lamps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ...keys import LOCKS, Lamps, Step

#: Linux under TCG on a busy computer lights a lamp in 30 ms.
SETTLE_SECONDS = 0.5


class KeyboardLamps:
    """The lamps of one console's keyboard; unknown until the first `update`."""

    def __init__(self) -> None:
        self.now: Lamps | None = None
        self._settled = asyncio.Event()
        self._settled_at = 0.0

    def update(self, bits: int) -> None:
        """Store the lamps that the emulator announces, as bits (`Lamps.from_bits`)."""
        self.now = Lamps.from_bits(bits)
        self._settled.set()

    def sent(self, steps: Iterable[Step]) -> None:
        """Note keys that have been sent to the guest: its lamps may change next."""
        if self.now is not None and any(down and key in LOCKS for key, down in steps):
            self._settled.clear()
            self._settled_at = asyncio.get_running_loop().time() + SETTLE_SECONDS

    async def read(self) -> Lamps | None:
        """Return the lamps once the guest has had time to change them; None if unknown."""
        left = self._settled_at - asyncio.get_running_loop().time()
        if self.now is not None and left > 0:
            try:
                async with asyncio.timeout(left):
                    await self._settled.wait()
            except TimeoutError:
                self._settled.set()
        return self.now
