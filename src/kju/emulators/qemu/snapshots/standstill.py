"""SHELL: the guest stands still, with nothing held down, while a snapshot is saved or loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from ....errors import KjuError, QemuError
from ..qmp import Qmp

if TYPE_CHECKING:
    from ...input.devices import Devices
    from ...input.keyboard import SharedKeyboard

log = logging.getLogger(__name__)

#: Seconds for QEMU's event that the guest runs again; it comes with the answer.
RUN_TIMEOUT = 1.0


@contextlib.asynccontextmanager
async def nothing_down(devices: Sequence[Devices | SharedKeyboard]) -> AsyncIterator[None]:
    """Release all keys and buttons for this block: in the loaded guest they would stay down."""
    async with contextlib.AsyncExitStack() as held:
        # No client types meanwhile. Consoles share these locks.
        for turn in {turn: None for each in devices for turn in each.turns}:
            await held.enter_async_context(turn)
        try:
            for each in devices:
                await each.put_all(down=False)
            yield
        finally:
            await _press_again(devices)


async def _press_again(devices: Sequence[Devices | SharedKeyboard]) -> None:
    """Press everything that clients hold; at first QEMU may still report that it is paused."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + RUN_TIMEOUT
    for each in devices:
        while True:
            try:
                await each.put_all(down=True)
                break
            except KjuError as error:
                if loop.time() > deadline:
                    log.warning("held keys and buttons are up in the guest: %s", error)
                    break
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def paused(qmp: Qmp) -> AsyncIterator[None]:
    """Pause the guest for this block."""
    was_running = await pause(qmp)
    try:
        yield
    finally:
        if was_running:
            await qmp.execute("cont")


async def pause(qmp: Qmp) -> bool:
    """Pause the guest; return whether it was running."""
    status = await qmp.execute("query-status")
    if not status.get("running"):
        return False
    try:
        await qmp.execute("stop")
    except QemuError:
        # It may still stop after the timeout, and nothing would resume it.
        with contextlib.suppress(QemuError):
            await qmp.execute("cont")
        raise
    return True
