"""Frames that change, passed to a wait as a driver passes them."""

from __future__ import annotations

import numpy as np

from kju.surface import Change, Mark, Mode
from kju.surface.geometry import Rect
from kju.vision.looking import Watch


class Scene:
    """A screen of 320x200 whose clock stands still until it is moved."""

    def __init__(self, width=320, height=200):
        self.pixels = np.zeros((height, width, 4), np.uint8)
        self.mode = Mode(width, height, width * 4, 0, 1)
        self.version = 1
        self.now = 100.0
        self.damage = []
        self.watch = None

    def draw(self, rect, colour):
        """Fill a rectangle, and announce the tiles of 32 pixels that it touches."""
        x, y, width, height = rect
        self.pixels[y : y + height, x : x + width] = colour
        left, top = x // 32 * 32, y // 32 * 32
        right, bottom = -(-(x + width) // 32) * 32, -(-(y + height) // 32) * 32
        self.damage.append(
            Rect(left, top, right - left, bottom - top).intersection(self.mode.whole)
        )
        self.version += 1

    def set_mode(self, width, height):
        self.pixels = np.zeros((height, width, 4), np.uint8)
        self.mode = Mode(width, height, width * 4, 0, self.mode.epoch + 1)
        self.version += 1

    @property
    def mark(self):
        return Mark(7, self.mode.epoch, self.version)

    def change(self):
        everything = self.watch.mark[:2] != self.mark[:2]
        rects = [self.mode.whole] if everything else list(self.damage)
        return Change(self.mark, self.mode, rects, everything)

    def wait(self, condition, region=None, timeout=10.0, **how):
        self.watch = Watch(condition, region, timeout, self.now, **how)
        return self.check()

    def check(self):
        """Check the frame; return whether the condition is met."""
        change, self.damage = self.change(), []
        self.watch.check(self.pixels.copy(), self.mode, self.mark, change, self.now)
        return self.watch.result is not None

    def step(self):
        return self.watch.next(self.now)

    def after(self, seconds):
        self.now += seconds
        return self.check()
