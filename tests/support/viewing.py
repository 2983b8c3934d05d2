"""Views of the fake machine: pictures, pointers, waits."""

from __future__ import annotations

import numpy as np

from kju import Rect
from kju.errors import UsageError

from .wait import until


def eventually(view, condition, what=""):
    def ran():
        view.run()
        return condition()

    until(ran, what=what)


def paint(host, seed=1, rect=None):
    """Publish random pixels in a rectangle; return the whole picture, B G R."""
    producer = host.machine.producer
    mode = producer.mode
    rect = rect or Rect(0, 0, mode.width, mode.height)
    random = np.random.default_rng(seed)
    new = random.integers(0, 256, (rect.height, rect.width, 4), np.uint8)
    producer.draw(rect, new.tobytes(), stride=rect.width * 4)
    return np.array(producer.pixels)[..., :3]


class FakePointer:
    """Has the methods of a machine's pointer."""

    def __init__(self, absolute):
        self.absolute = absolute
        self.got = []

    def is_absolute(self):
        return self.absolute

    def move(self, x, y):
        if not self.absolute:
            raise UsageError("the guest's pointer is relative")
        self.got.append(("at", x, y))

    def move_by(self, dx, dy):
        if self.absolute:
            raise UsageError("the guest's pointer is absolute")
        self.got.append(("by", dx, dy))

    def press(self, *buttons):
        self.got += [("down", name) for name in buttons]

    def release(self, *buttons):
        self.got += [("up", name) for name in buttons]

    def wheel(self, vertical, horizontal=0):
        self.got.append(("wheel", vertical, horizontal))
