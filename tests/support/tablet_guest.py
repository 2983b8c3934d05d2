"""A guest with kju's tablet, which reports where it received the pointer's buttons."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from .paint_guest import Guest, booted
from .wait import until

#: Linux's codes of the buttons.
LEFT, RIGHT, MIDDLE = 272, 273, 274


class Pointed:
    """A guest that reports where it received the pointer's buttons."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._begin = len(self._all())

    def _all(self) -> str:
        return self.guest.serial.said()

    @property
    def said(self) -> str:
        return self._all()[self._begin :]

    @property
    def buttons(self) -> list[tuple[int, str, int, int]]:
        """Return button, "down" or "up", and the pixel, for each report."""
        width, height = self.guest.screen.mode[:2]
        found = re.findall(r"button (\d+) (down|up) at (\d+) (\d+)\n", self.said)
        # As libinput does: 32768 steps to the pixels of a side, rounded down.
        return [
            (int(number), verb, int(x) * width >> 15, int(y) * height >> 15)
            for number, verb, x, y in found
        ]

    def until(self, *expected: tuple[int, str, int, int]) -> None:
        until(lambda: self.buttons == list(expected), f"{expected}: {self.said}")


@contextlib.contextmanager
def booted_tablet(folder: Path, name: str = "tablet") -> Iterator[Guest]:
    """A guest with a touch screen too, and a mode whose sides are not powers of 2."""
    touch = ("-device", "virtio-multitouch-pci")
    with booted(folder, "VGA", *touch, name=name, size="1360x768") as guest:
        # A slow boot says this before it is ready, a quick one after.
        until(lambda: "USB Tablet" in guest.serial.said(), "the guest reads its tablet")
        until(lambda: guest.seen.mode[:2] == (1360, 768), "the mode")
        until(lambda: guest.machine.pointer.is_absolute(), "the tablet is used")
        yield guest
