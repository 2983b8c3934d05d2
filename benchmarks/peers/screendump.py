"""QMP screendump, repeatedly: QEMU writes a file in memory, the viewer reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..monitor import Monitor
from . import Place


class Screendump:
    """Has no notifications: it waits by taking the next picture."""

    def __init__(self, place: Place, option: str) -> None:
        folder = Path(place["folder"])
        self._monitor = Monitor(folder / "peer")
        self._file = folder / f"dump.{option}"
        self._format = option
        self._pixels = self.grab()

    def wait(self) -> None:
        self._pixels = self.grab()

    def look(self) -> np.ndarray:
        return self._pixels

    def take(self) -> bytes:
        """Return a current picture as QEMU's file."""
        self._monitor.command("screendump", filename=str(self._file), format=self._format)
        return self._file.read_bytes()

    def grab(self) -> np.ndarray:
        self._monitor.command("screendump", filename=str(self._file), format=self._format)
        rgb = read_ppm(self._file) if self._format == "ppm" else read_png(self._file)
        return rgb[..., ::-1]


def read_ppm(path: Path) -> np.ndarray:
    """Return the pixels of QEMU's binary PPM, ``P6\\nWIDTH HEIGHT\\n255\\n``, R G B."""
    data = path.read_bytes()
    _, size, _, _ = data.split(b"\n", 3)
    width, height = map(int, size.split())
    pixels = np.frombuffer(data, np.uint8, offset=len(data) - width * height * 3)
    return pixels.reshape(height, width, 3)


def read_png(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


open_viewer = Screendump
