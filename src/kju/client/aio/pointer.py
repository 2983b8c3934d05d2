"""A machine's pointer, for asyncio."""

from __future__ import annotations

from collections.abc import Sequence

from ...protocol.messages import Done, GetPointer, PointerState
from ...protocol.values import Action, last_gesture
from ...surface import NOTHING_TAKEN, Mark
from .. import actions, requests
from .link import AsyncLink


class Pointer:
    """One console's pointer: see `kju.client.pointer.Pointer`."""

    def __init__(self, link: AsyncLink, console: int) -> None:
        self._link = link
        self._console = console

    async def is_absolute(self) -> bool:
        """Return True if the guest's pointer takes positions now, False if it takes distances."""
        return (await self._link.ask(GetPointer(console=self._console), PointerState)).absolute

    async def move(self, x: int, y: int) -> Mark:
        """Put the pointer on a pixel."""
        return await self._act([actions.to(x, y)])

    async def move_by(self, dx: int, dy: int) -> Mark:
        """Move a pointer that takes no positions."""
        return await self._act(actions.by(dx, dy))

    async def press(self, *buttons: str) -> Mark:
        """Press buttons, in this order, and hold them."""
        return await self._act(actions.buttons(buttons, True))

    async def release(self, *buttons: str) -> Mark:
        """Release buttons, in this order."""
        return await self._act(actions.buttons(buttons, False))

    async def click(
        self, x: int | None = None, y: int | None = None, *, button: str = "left", count: int = 1
    ) -> Mark:
        """Press and release a button, at a pixel or where the pointer is."""
        return await self._act(actions.click(x, y, button, count))

    async def drag(self, *points: tuple[int, int], button: str = "left") -> Mark:
        """Press a button at the first of some pixels, go through the others, and release it."""
        return await self._act(actions.drag(points, button))

    async def wheel(self, vertical: int, horizontal: int = 0) -> Mark:
        """Turn the wheel by so many notches: down and right count up."""
        return await self._act([actions.wheel(vertical, horizontal)])

    async def touch(self, *points: tuple[int, int], finger: int = 0) -> Mark:
        """Put a finger on the first of some pixels, slide it through the others, and lift it."""
        return await self._act(actions.touch(points, finger))

    async def _act(self, wanted: Sequence[Action]) -> Mark:
        mark, begin = NOTHING_TAKEN, last_gesture(wanted)
        for number, request in enumerate(actions.divide(wanted, self._console)):
            done = await self._link.ask(request, Done)
            # A gesture may be longer than a request; its mark is that of its beginning.
            if number * actions.TOGETHER <= begin:
                mark = requests.mark_of(done)
        return mark
