"""vncdotool, through its own interface for programs (`vncdotool.api`)."""

from __future__ import annotations

import numpy as np
from vncdotool import api

from . import Place


class Dotool:
    """Its refresh returns when the server has sent something; its screen is Pillow's."""

    def __init__(self, place: Place, option: str) -> None:
        self._client = api.connect(f"{place['folder']}/vnc", timeout=120)
        self._client.refreshScreen()

    def wait(self) -> None:
        self._client.refreshScreen(incremental=True)

    def look(self) -> np.ndarray:
        # The squares alone: converting the whole picture for them would be unfair.
        return np.asarray(self._client.screen.crop((0, 0, 192, 256)))[..., ::-1]

    def grab(self) -> np.ndarray:
        self._client.refreshScreen()
        return np.asarray(self._client.screen)[..., ::-1]


open_viewer = Dotool
