"""Whoever follows a screen: what it is told changed, and a picture of its own made of that."""

from __future__ import annotations

import contextlib
import threading
from typing import Self

import numpy as np

import kju
from kju.errors import GeometryError


class Follower:
    """A viewer that keeps a picture of its own by what it is told changed, and is told its end.

    Attributes:
        modes: The sizes it has had, in order.
        black: The changes after which all was black.
        told: How many changes it has been told of.
        heard: What ended it.
    """

    def __init__(self, name: str) -> None:
        self.machine = kju.attach(name, "view")
        self.modes: list[tuple[int, int]] = []
        self.black: list[kju.Change] = []
        self.told = 0
        self.heard: Exception | None = None
        self._picture = np.zeros((0, 0, 4), np.uint8)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        screen, mark = self.machine.screen, kju.Mark(0, 0, 0)
        try:
            while True:
                # No time limit: only a change, or the end, lets it go on.
                change = screen.wait(mark, timeout=None)
                with contextlib.suppress(GeometryError):
                    self._take(screen, change)
                    mark = change.mark
                self.told += 1
        except (kju.KjuError, OSError) as error:
            self.heard = error

    def _take(self, screen: kju.Screen, change: kju.Change) -> None:
        if change.everything:
            frame = screen.frame(pixels="bgrx")
            if frame.mode.epoch != change.mode.epoch:
                raise GeometryError("another mode already")
            self._picture = np.array(frame)
            self.modes.append((change.mode.width, change.mode.height))
            if not frame[..., :3].any():
                self.black.append(change)
        for rect in () if change.everything else change.rects:
            x, y, width, height = rect
            self._picture[y : y + height, x : x + width] = screen.frame(rect, pixels="bgrx")

    def equals(self, dump: np.ndarray) -> bool:
        """Whether its picture is *dump*, R G B."""
        return np.array_equal(self._picture[..., 2::-1], dump)

    def ended(self, seconds: float) -> bool:
        """Whether it has heard of an end, within so long."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.machine.close()
        assert self.ended(5)
