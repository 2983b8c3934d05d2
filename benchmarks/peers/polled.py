"""The guest's video memory, mapped and polled: the minimum for any viewer of a guest.

It is not a general viewer: the address of the picture is known because the measured guest never
moves it, and polling takes a part of a core.
"""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import numpy as np

from . import Place
from .screendump import read_ppm

#: Seconds between two readings. Without a pause the viewer takes a core from QEMU, which is slower.
PAUSE = 0.0001


class Polled:
    """Maps the memfd of QEMU's video memory (-machine aux-ram-share=on)."""

    def __init__(self, place: Place, option: str) -> None:
        # The picture's size, from an earlier screenshot.
        height, width, _ = read_ppm(Path(place["folder"]) / "size").shape
        folder = Path("/proc", place["pid"], "fd")
        (path,) = (p for p in folder.iterdir() if "vga.vram" in str(p.readlink()))
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        pixels = np.frombuffer(memory, np.uint8, count=width * height * 4)
        self._pixels: np.ndarray = pixels.reshape(height, width, 4)

    def wait(self) -> None:
        time.sleep(PAUSE)

    def look(self) -> np.ndarray:
        return self._pixels

    def grab(self) -> np.ndarray:
        return self._pixels.copy()


open_viewer = Polled
