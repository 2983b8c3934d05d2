"""What clients drive one console with."""

from __future__ import annotations

from collections.abc import Hashable
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

    def info(self) -> dict[str, Any]:
        """What is held, for people and programs."""
        return {"keys_held": self.keyboard.held, "buttons_held": self.pointer.held}
