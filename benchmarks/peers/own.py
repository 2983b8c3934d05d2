"""kju: wake on the futex, read the published pixels, with the public API only."""

from __future__ import annotations

import numpy as np

import kju

from . import Place


class Own:
    """Uses kju as a user's program does."""

    def __init__(self, place: Place, option: str) -> None:
        self._machine = kju.attach(place["name"])
        self._screen = self._machine.screen
        self._mark = next(self._screen.changes(timeout=20)).mark
        self._sync = option == "sync"

    def wait(self) -> None:
        self._mark = self._screen.wait(self._mark).mark

    def look(self) -> np.ndarray:
        return self._screen.view()

    def grab(self) -> np.ndarray:
        return self._screen.frame(sync=self._sync, pixels="bgrx")


open_viewer = Own
