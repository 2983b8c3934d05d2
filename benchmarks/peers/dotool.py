"""vncdotool, through its own interface for programs (`vncdotool.api`)."""

from __future__ import annotations

import numpy as np
from vncdotool import api

from . import KEY_NAME, Place


class Dotool:
    """Its refresh returns when the server has sent something; its screen is an image of Pillow."""

    def __init__(self, place: Place, option: str) -> None:
        self._client = api.connect(f"{place['folder']}/vnc", timeout=120)
        # A client that waits for a picture sends nothing, so keys have their own connection.
        self._keys = api.connect(f"{place['folder']}/vnc", timeout=120)
        self._keys.keyUp(KEY_NAME)
        self._client.refreshScreen()

    def wait(self) -> None:
        self._client.refreshScreen(incremental=True)

    def key(self, down: bool) -> None:
        (self._keys.keyDown if down else self._keys.keyUp)(KEY_NAME)

    def look(self) -> np.ndarray:
        # Only the squares: a conversion of the whole picture would be unfair.
        return np.asarray(self._client.screen.crop((0, 0, 192, 256)))[..., ::-1]

    def grab(self) -> np.ndarray:
        self._client.refreshScreen()
        return np.asarray(self._client.screen)[..., ::-1]


open_viewer = Dotool
