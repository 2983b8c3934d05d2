"""NumPy twins of everything the C core does: slow, plain, and written from the definitions.

They share no code with what they check. `Twin` is a whole producer; the functions are the
single operations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

XR24 = int.from_bytes(b"XR24", "little")
R8 = int.from_bytes(b"R8  ", "little")

BYTES = {
    "xrgb8888": 4,
    "xbgr8888": 4,
    "bgrx8888": 4,
    "rgb888": 3,
    "bgr888": 3,
    "rgb565": 2,
    "xrgb1555": 2,
    "r8": 1,
}
COLOURS = [name for name in BYTES if name != "r8"]


def rows(source, offset: int, stride: int, width: int, height: int, size: int) -> np.ndarray:
    """The pixels of a source as ``(height, width, size)`` bytes."""
    data = np.frombuffer(source, np.uint8)
    out = np.empty((height, width, size), np.uint8)
    for y in range(height):
        start = offset + y * stride
        out[y] = data[start : start + width * size].reshape(width, size)
    return out


def convert_in(name: str, pixels: np.ndarray) -> np.ndarray:
    """``(height, width, bytes)`` of a source format as B, G, R, X; r8 stays one byte."""
    if name == "r8":
        return pixels[..., 0]
    if name == "xrgb8888":
        return pixels
    out = np.zeros((*pixels.shape[:2], 4), np.uint8)
    if name == "xbgr8888":  # in memory R, G, B, X
        out[..., :3] = pixels[..., [2, 1, 0]]
    elif name == "bgrx8888":  # in memory X, R, G, B
        out[..., :3] = pixels[..., [3, 2, 1]]
    elif name == "rgb888":  # in memory B, G, R
        out[..., :3] = pixels
    elif name == "bgr888":  # in memory R, G, B
        out[..., :3] = pixels[..., ::-1]
    else:
        word = pixels[..., 0].astype(np.uint32) + 256 * pixels[..., 1].astype(np.uint32)
        widths = (5, 6, 5) if name == "rgb565" else (5, 5, 5)
        for channel, bits in enumerate(widths):
            value = word % 2**bits
            out[..., channel] = np.floor(value * 2.0 ** (8 - bits)) + value // 2 ** (2 * bits - 8)
            word //= 2**bits
    return out


def convert_out(name: str, bgrx: np.ndarray) -> np.ndarray:
    """B, G, R, X as what a consumer asks for."""
    blue, green, red = (bgrx[..., i].astype(np.int64) for i in range(3))
    if name == "bgrx":
        return bgrx
    if name == "rgb":
        return np.stack((red, green, blue), -1).astype(np.uint8)
    if name == "rgba":
        return np.stack((red, green, blue, np.full_like(red, 255)), -1).astype(np.uint8)
    return ((77 * red + 150 * green + 29 * blue + 128) // 256).astype(np.uint8)


def blend(frame: np.ndarray, rect, cursor) -> np.ndarray:
    """The cursor drawn into a B G R X copy of *rect*, one pixel after another."""
    out = frame.copy()
    if not cursor.visible:
        return out
    height, width = cursor.shape.shape[:2]
    for row in range(height):
        for column in range(width):
            x = cursor.x - cursor.hot_x + column - rect.x
            y = cursor.y - cursor.hot_y + row - rect.y
            if not (0 <= x < rect.width and 0 <= y < rect.height):
                continue
            alpha = int(cursor.shape[row, column, 3])
            for c in range(3):
                mixed = int(cursor.shape[row, column, c]) * alpha + int(out[y, x, c]) * (
                    255 - alpha
                )
                out[y, x, c] = (mixed + 127) // 255
    return out


class TwinMode(NamedTuple):
    width: int
    height: int
    fourcc: int
    epoch: int

    @property
    def pixel(self) -> int:
        return 4 if self.fourcc == XR24 else 1


class Twin:
    """A producer in NumPy: pixels, one version per tile, a version and an epoch."""

    def __init__(self, tile: int) -> None:
        self.tile = tile
        self.version = 0
        self.mode = TwinMode(0, 0, 0, 0)
        self.pixels = np.zeros((0, 0, 4), np.uint8)
        self.tiles = np.zeros((0, 0), np.uint64)

    def set_mode(self, width: int, height: int, fourcc: int, picture: np.ndarray | None) -> None:
        self.version += 1
        self.mode = TwinMode(width, height, fourcc, self.mode.epoch + 1)
        shape = (height, width, 4) if fourcc == XR24 else (height, width)
        self.pixels = np.zeros(shape, np.uint8) if picture is None else picture.copy()
        across, down = -(-width // self.tile), -(-height // self.tile)
        self.tiles = np.full((down, across), self.version, np.uint64)

    def draw(self, rect, picture: np.ndarray) -> None:
        self.pixels[rect.y : rect.bottom, rect.x : rect.right] = picture
        self.publish([rect])

    def publish(self, rects) -> None:
        if not rects:
            return
        self.version += 1
        for r in rects:
            if r.width and r.height:
                t = self.tile
                self.tiles[
                    r.y // t : (r.bottom - 1) // t + 1, r.x // t : (r.right - 1) // t + 1
                ] = self.version

    def publish_range(self, start: int, length: int) -> None:
        """Each byte of it by its own tile."""
        stride = self.mode.width * self.mode.pixel
        at = np.arange(start, start + length)
        if len(at):
            self.version += 1
            y, x = at // stride // self.tile, at % stride // self.mode.pixel // self.tile
            self.tiles[y, x] = self.version

    def compare(self, frame: np.ndarray, rects=None) -> int:
        """The number of tiles that differ, copied and published."""
        changed = []
        for row in range(self.tiles.shape[0]):
            for column in range(self.tiles.shape[1]):
                part = np.s_[
                    row * self.tile : (row + 1) * self.tile,
                    column * self.tile : (column + 1) * self.tile,
                ]
                if rects is not None and not any(self._touches(r, row, column) for r in rects):
                    continue
                if (self.pixels[part] != frame[part]).any():
                    changed.append((row, column, part))
        if changed:
            self.version += 1
        for row, column, part in changed:
            self.pixels[part] = frame[part]
            self.tiles[row, column] = self.version
        return len(changed)

    def newer(self, version: int) -> np.ndarray:
        return self.tiles > version

    def _touches(self, r, row: int, column: int) -> bool:
        t = self.tile
        across = r.x < (column + 1) * t and r.right > column * t
        down = r.y < (row + 1) * t and r.bottom > row * t
        return bool(across and down and r.width and r.height)


def tiles_of(rects, mode, tile: int) -> np.ndarray:
    """How often each tile is covered; AssertionError for what is not whole tiles."""
    table = np.zeros((-(-mode.height // tile), -(-mode.width // tile)), int)
    for r in rects:
        assert r.width > 0 and r.height > 0
        assert r.x % tile == 0 and r.y % tile == 0
        assert r.right == mode.width or (r.right < mode.width and r.right % tile == 0)
        assert r.bottom == mode.height or (r.bottom < mode.height and r.bottom % tile == 0)
        table[r.y // tile : -(-r.bottom // tile), r.x // tile : -(-r.right // tile)] += 1
    return table
