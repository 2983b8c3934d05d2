"""A machine's keyboard, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ...errors import KjuError
from ...protocol.messages import Done, GetLamps, LampsState
from ...surface import NOTHING_TAKEN, Mark
from .. import requests
from .link import AsyncLink

if TYPE_CHECKING:
    from ...keys import Chord, Lamps


class Keyboard:
    """One console's keyboard: see `kju.client.keyboard.Keyboard`.

    As there, QEMU's refusal of a single key is raised by the next call on this keyboard.
    """

    def __init__(self, link: AsyncLink, console: int) -> None:
        self._link = link
        self._console = console

    async def lamps(self) -> Lamps | None:
        """Return the locks that are on, as far as the guest lights its keyboard's lamps."""
        return requests.lamps_of(await self._lamps())

    async def press(self, *keys: str | int) -> Mark:
        """Press keys, in this order, and hold them."""
        return await self._send(requests.key_steps(keys, True), None)

    async def release(self, *keys: str | int) -> Mark:
        """Release keys, in this order."""
        return await self._send(requests.key_steps(keys, False), None)

    @contextlib.asynccontextmanager
    async def hold(self, *keys: str | int) -> AsyncIterator[None]:
        """Hold keys while an ``async with`` block runs; they come up however it is left."""
        await self.press(*keys)
        try:
            yield
        finally:
            await self.release(*reversed(keys))

    async def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> Mark:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other."""
        return await self._send(requests.chord_steps(chords), interval)

    async def type(self, text: str, *, layout: str = "us", interval: int | None = None) -> Mark:
        """Type a text, as fast as the guest takes it; returns when the last key is up."""
        lit = (await self._lamps()).lit if requests.caps_lock_matters(text, layout) else None
        return await self._ask(requests.text_requests(self._console, text, layout, interval, lit))

    async def boot_command(self, command: str, *, layout: str = "us") -> Mark:
        """Type a boot command as Packer writes it, such as ``"<wait5><esc>auto<enter>"``."""
        mark = NOTHING_TAKEN
        steps = requests.boot_steps(command, layout)
        try:
            for step in steps:
                if step.wait:
                    await asyncio.sleep(step.wait)
                if step.text:
                    mark = await self.type(step.text, layout=layout)
                if step.keys:
                    sent = await self._send([step.keys], None)
                    mark = requests.boot_mark(mark, sent, step.keys)
        except BaseException:
            with contextlib.suppress(KjuError):
                await self._send([requests.releases(steps)], None)
            raise
        return mark

    async def _lamps(self) -> LampsState:
        return await self._link.ask(GetLamps(console=self._console), LampsState)

    async def _send(self, groups: list[requests.Steps], interval: int | None) -> Mark:
        return await self._ask(requests.key_requests(self._console, groups, interval))

    async def _ask(self, asked: list[requests.KeyRequest]) -> Mark:
        mark = NOTHING_TAKEN
        for keys, marks in asked:
            done = await self._link.ask(keys, Done, requests.duration(keys))
            if marks:
                mark = requests.mark_of(done)
        return mark
