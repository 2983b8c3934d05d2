"""The input devices of a mirror: input goes to the screen's own host, which paces it.

- A request is forwarded as a whole: on a slow link each message costs a round trip.
- Held buttons and keys are recorded here too, so that a client that disconnects from a mirror
  releases them on the other host.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence

from ...keys import Step
from ...protocol.messages import Keys, Point
from ...protocol.values import Action, Button, Request
from ...surface import Mark
from ..input.devices import Devices, Pointer
from ..input.keyboard import Keyboard, KeyboardLamps
from ..input.pace import Gauge, Pace

#: Has the other host do a request; returns this surface's mark before that.
Forward = Callable[[Request], Awaitable[Mark]]


class RemoteGauge(Gauge):
    """The gauge of a device that another host paces."""

    name = "remote"
    #: The steps that one request may have.
    room = 1024

    async def is_empty(self) -> bool:
        """Return True: the other host answers when it has sent everything."""
        return True


class MirrorPointer(Pointer):
    """The pointer of a screen on another host."""

    def __init__(self, forward: Forward, pace: Pace) -> None:
        super().__init__(pace)
        self._forward = forward

    async def absolute(self) -> bool:
        """Return True: the other host refuses positions if its guest does not take them."""
        return True

    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Forward these actions; see `Pointer.act`."""
        async with self.pace.turn:
            mark = await self._forward(Point(actions=list(actions)))
        for action in actions:
            if isinstance(action, Button):
                hold = self._buttons.press if action.down else self._buttons.release
                hold(client, [action.button])
        return mark

    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> None:
        await self._forward(Point(actions=[Button(number, down) for number in numbers]))

    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> None:
        """Do nothing: a mirror records no fingers."""


def mirror_devices(forward: Forward) -> Devices:
    """Return the keyboard and the pointer of a screen on another host."""

    async def send(steps: Sequence[Step]) -> Mark:
        return await forward(Keys(steps=list(steps)))

    pace = Pace(_remote)
    return Devices(Keyboard(send, pace), MirrorPointer(forward, pace), KeyboardLamps())


async def _remote() -> Gauge:
    return RemoteGauge()
