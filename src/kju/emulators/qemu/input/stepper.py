"""SHELL: runs a paused guest for a time, with input: lockstep.

- QEMU refuses input while the guest is paused, so the guest is resumed first.
- The guest is paused at the end in any case: if the input fails, or the client disconnects.
- The published picture is that of the paused guest when a step ends. A listener receives the last
  pixels some time after the pause, so for a listener the picture is compared with a screenshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from ....errors import InputError
from ....surface import Mark
from ...console import ONE_LOOK, Console
from ..display.screenshot import SnapshotScreens

if TYPE_CHECKING:
    from ....protocol.stepping import StepGuest
    from ..qmp import Qmp

#: Seconds for QEMU's event that the guest runs; it comes with the answer to the command.
_RESUME_TIMEOUT = 1.0


class QemuStepper:
    """Steps one QEMU.

    Args:
        qmp: The connection to QEMU.
        is_paused: Returns whether QEMU's last event was a pause.
    """

    def __init__(self, qmp: Qmp, is_paused: Callable[[], bool]) -> None:
        self._qmp = qmp
        self._is_paused = is_paused
        self._turn = asyncio.Lock()
        self._screens = SnapshotScreens(qmp)

    async def step(self, client: Hashable, console: Console, request: StepGuest) -> Mark:
        """Run the guest for the time of a request, with its input.

        Args:
            client: The client that sends the input.
            console: The console of the request.
            request: The request.

        Returns:
            The mark of the published screen of the paused guest.

        Raises:
            InputError: The guest takes no input, or cannot be resumed; it is paused.
            KjuError: QEMU failed, or a position is outside the screen; the guest is paused.
        """
        async with self._turn:
            try:
                await self._resume()
                end = asyncio.get_running_loop().time() + request.microseconds / 1e6
                await _send(client, console, request)
                await asyncio.sleep(end - asyncio.get_running_loop().time())
            finally:
                await self._qmp.execute("stop")
            await self._publish(console)
            return console.mark

    async def _resume(self) -> None:
        await self._qmp.execute("cont")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RESUME_TIMEOUT
        while self._is_paused():
            if loop.time() > deadline:
                raise InputError("the guest stays paused: it has shut down or failed; reset it")
            await asyncio.sleep(0.001)

    async def _publish(self, console: Console) -> None:
        """Publish the screen of the paused guest."""
        asker = object()
        # The source of one step is still there for the next, and ends soon after the last.
        await console.attach(asker, ONE_LOOK)
        try:
            await console.refresh(sync=True)
            kind = console.runner.supervisor.current_kind
            if kind is not None and kind.is_delayed:
                await self._screens.show(console)
        finally:
            console.detach(asker)

    def close(self) -> None:
        """Free the memory that was lent to QEMU."""
        self._screens.close()


async def _send(client: Hashable, console: Console, request: StepGuest) -> None:
    keyboard, pointer = console.devices.keyboard, console.devices.pointer
    try:
        if request.keys:
            await keyboard.press(client, request.keys)
        if request.actions:
            await pointer.act(client, request.actions)
    finally:
        if request.releases:
            await keyboard.press(client, request.releases)
