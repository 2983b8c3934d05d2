"""One console's pointer: the part that every kind of emulator shares.

Buttons and fingers are held by clients, as keys are (`holders`).
"""

from __future__ import annotations

import abc
from collections.abc import Hashable, Sequence

from ...protocol.values import BUTTONS, Action
from ...surface import Mark
from .holders import Holders
from .pace import Pace


class Pointer(abc.ABC):
    """One console's pointer.

    Args:
        pace: The pace of the machine's pointer.
    """

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._buttons = Holders(self._put_buttons, "buttons")
        self._fingers = Holders(self._put_fingers, "fingers")

    @property
    def held(self) -> list[str]:
        """The buttons that are down."""
        return [BUTTONS[number] for number in self._buttons.held]

    @abc.abstractmethod
    async def absolute(self) -> bool:
        """Return whether the guest's pointer takes positions now; otherwise it takes distances."""

    @abc.abstractmethod
    async def act(self, client: Hashable, actions: Sequence[Action]) -> Mark | None:
        """Do these actions for one client, in order.

        Returns:
            The screen's mark before the first action of the last gesture (`marks.last_gesture`)
            was sent; None if nothing had to be sent.

        Raises:
            GeometryError: A position is outside the screen; nothing was sent.
            UsageError: The pointer does not take these actions; nothing was sent.
            InputError: The guest takes nothing; the remaining releases were sent.
            KjuError: The emulator did not take an action; the remaining releases were sent.
        """

    @abc.abstractmethod
    async def _put_buttons(self, numbers: Sequence[int], down: bool) -> object:
        """Press or release buttons in the guest."""

    @abc.abstractmethod
    async def _put_fingers(self, fingers: Sequence[int], down: bool) -> object:
        """Lift fingers in the guest; none is put down again: its position is unknown."""

    async def put_all(self, *, down: bool) -> None:
        """Release everything held in the guest, or press its buttons again; the turn is held."""
        await self._buttons.put_all(down)
        await self._fingers.put_all(down)
        await self.pace.settle()

    def forget(self) -> None:
        """Note that the guest has restarted: nothing is down in it."""
        self._buttons.forget()
        self._fingers.forget()
        self.pace.reset()

    async def leave(self, client: Hashable) -> None:
        """Release everything that a client holds."""
        async with self.pace.turn:
            await self._buttons.leave(client)
            await self._fingers.leave(client)

    async def settle(self) -> None:
        """Release what disconnected clients could not release before."""
        async with self.pace.turn:
            await self._settle()

    async def _settle(self) -> None:
        await self._buttons.settle()
        await self._fingers.settle()
