"""The input devices of one console."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any, NamedTuple

from .keyboard import Keyboard
from .lamps import KeyboardLamps
from .pointer import Pointer


class Devices(NamedTuple):
    """The keyboard, its lamps and the pointer of one console."""

    keyboard: Keyboard
    pointer: Pointer
    lamps: KeyboardLamps

    @property
    def turns(self) -> tuple[asyncio.Lock, asyncio.Lock]:
        """The locks that are held while input is sent; all consoles of a machine share them."""
        return self.keyboard.pace.turn, self.pointer.pace.turn

    async def put_all(self, *, down: bool) -> None:
        """Release everything held in the guest, or press it again; the turns are held.

        Raises:
            KjuError: The emulator did not take it.
        """
        await self.keyboard.put_all(down=down)
        await self.pointer.put_all(down=down)

    async def leave(self, client: Hashable) -> None:
        """Release everything that a client holds."""
        await self.keyboard.leave(client)
        await self.pointer.leave(client)

    async def settle(self) -> None:
        """Release what disconnected clients could not release before."""
        await self.keyboard.settle()
        await self.pointer.settle()

    def forget(self) -> None:
        """Record that the guest has restarted: nothing is down in it."""
        self.keyboard.forget()
        self.pointer.forget()

    def info(self) -> dict[str, Any]:
        """Return the keys and buttons that are held, and the locks that are on."""
        lamps = self.lamps.now
        return {
            "keys_held": self.keyboard.held,
            "buttons_held": self.pointer.held,
            "locks": None if lamps is None else lamps.names,
        }
