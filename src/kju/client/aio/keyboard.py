"""A machine's keyboard, for asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...host.messages import Done
from .. import requests
from .link import AsyncLink

if TYPE_CHECKING:
    from ...keys import Chord


class Keyboard:
    """One console's keyboard: see `kju.client.keyboard.Keyboard`."""

    def __init__(self, link: AsyncLink, console: int) -> None:
        self._link = link
        self._console = console

    async def press(self, *keys: str | int) -> None:
        """Press keys, in this order, and hold them."""
        await self._send(requests.key_steps(keys, True))

    async def release(self, *keys: str | int) -> None:
        """Release keys, in this order."""
        await self._send(requests.key_steps(keys, False))

    async def chord(self, *chords: str | Chord, interval: int = requests.INTERVAL) -> None:
        """Press keys together, such as ``"ctrl-alt-f2"``, one chord after the other."""
        await self._send(requests.chord_steps(chords), interval)

    async def type(
        self, text: str, *, layout: str = "us", interval: int = requests.INTERVAL
    ) -> None:
        """Type a text; returns when the last key is up."""
        await self._send(requests.typed(text, layout, interval), interval)

    async def _send(self, groups: list[requests.Steps], interval: int = requests.INTERVAL) -> None:
        for request in requests.key_requests(self._console, groups, interval):
            await self._link.ask(request, Done, requests.duration(request))
