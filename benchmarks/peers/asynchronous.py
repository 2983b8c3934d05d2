"""asyncvnc, with the loop that its own `screenshot` has, and as a waiting client."""

from __future__ import annotations

import asyncio

import asyncvnc
import numpy as np

from . import KEYSYM, Place


class Asynchronous:
    """Ignores changes of the size, so QEMU must have the final size before it connects."""

    def __init__(self, place: Place, option: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = self._loop.run_until_complete(self._open(f"{place['folder']}/vnc"))
        self._asked = False
        self.grab()

    async def _open(self, path: str) -> asyncvnc.Client:
        reader, writer = await asyncio.open_unix_connection(path)
        return await asyncvnc.Client.create(reader, writer)

    def wait(self) -> None:
        self._loop.run_until_complete(self._wait())

    async def _wait(self) -> None:
        if not self._asked:
            self._client.video.refresh()
        while await self._client.read() is not asyncvnc.UpdateType.VIDEO:
            pass
        self._client.video.refresh()
        self._asked = True

    def key(self, down: bool) -> None:
        # The message that its Keyboard writes for a press or a release.
        data = b"\x04" + down.to_bytes(1, "big") + b"\0\0" + KEYSYM.to_bytes(4, "big")
        self._loop.call_soon_threadsafe(self._client.writer.write, data)

    def look(self) -> np.ndarray:
        video = self._client.video
        data: np.ndarray = video.data
        return data if video.mode.startswith("b") else data[..., 2::-1]

    def grab(self) -> np.ndarray:
        picture: np.ndarray = self._loop.run_until_complete(self._client.screenshot())
        return picture[..., 2::-1]


open_viewer = Asynchronous
