"""What clients drive a mirror with: their input goes to the screen's own host, which paces it.

Rules:

- A request goes there whole: on a far link each message costs a round trip.
- Who holds what is kept here as well, so that who leaves a mirror lets go of it there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import NoReturn

from ...errors import KjuError
from ...keys import Step
from ...protocol.messages import Action, Button, Keys, Point, Request
from ...surface import Mark
from ..input.devices import Devices
from ..input.keyboard import Keyboard
from ..input.lamps import KeyboardLamps
from ..input.pace import Pace
from ..input.pointer import Pointer
from ..qemu.input.gauges import Gauge

#: Has the other host do a request; returns this surface's mark before that.
Forward = Callable[[Request], Awaitable[Mark]]


class Elsewhere(Gauge):
    """A keyboard that another host paces."""

    name = "elsewhere"
    #: The steps that one request may have.
    room = 1024

    async def taken(self) -> bool:
        """What was sent is done when it is answered."""
        return True


class MirrorPointer(Pointer):
    """The pointer of a screen elsewhere."""

    def __init__(self, forward: Forward, pace: Pace) -> None:
        super().__init__(_never, pace, lambda: (0, 0), _positions, _positions)
        self._forward = forward

    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Have these done; see `Pointer.act`."""
        async with self.pace.turn:
            mark = await self._forward(Point(actions=list(actions)))
        for action in actions:
            if isinstance(action, Button):
                hold = self._buttons.press if action.down else self._buttons.release
                hold(client, [action.button])
        return mark

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        await self._forward(Point(actions=[Button(number, down) for number in numbers]))


def mirror_devices(forward: Forward) -> Devices:
    """The keyboard and the pointer of a screen elsewhere."""

    async def send(steps: Sequence[Step]) -> Mark:
        return await forward(Keys(steps=list(steps)))

    pace = Pace(_elsewhere)
    return Devices(Keyboard(send, pace), MirrorPointer(forward, pace), KeyboardLamps())


async def _elsewhere() -> Gauge:
    return Elsewhere()


async def _positions() -> bool:
    return True


async def _never(*_: object) -> NoReturn:
    raise KjuError("a mirror's pointer sends no reports of its own")
