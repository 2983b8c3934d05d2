"""What clients drive one console with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Hashable
from typing import Any, NamedTuple

from .keyboard import Keyboard
from .pointer import Pointer


class Devices(NamedTuple):
    """The keyboard and the pointer of one console."""

    keyboard: Keyboard
    pointer: Pointer

    async def leave(self, client: Hashable) -> None:
        """Let go of everything that a client holds."""
        await self.keyboard.leave(client)
        await self.pointer.leave(client)

    @contextlib.asynccontextmanager
    async def lifted(self) -> AsyncIterator[None]:
        """Have nothing down in the guest meanwhile, whoever holds it."""
        await self.put(down=False)
        try:
            yield
        finally:
            await self.put(down=True)

    async def put(self, *, down: bool) -> None:
        """Have the guest see everything that clients hold down as up, or as down again."""
        await self.keyboard.put(down=down)
        await self.pointer.put(down=down)

    def forget(self) -> None:
        """The guest is another one now, in which nothing is down."""
        self.keyboard.forget()
        self.pointer.forget()

    def info(self) -> dict[str, Any]:
        """What is held, for people and programs."""
        return {"keys_held": self.keyboard.held, "buttons_held": self.pointer.held}
