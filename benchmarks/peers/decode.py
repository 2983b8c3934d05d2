"""Tight and ZRLE, as QEMU sends them without loss: zlib does the work, NumPy the rest.

Source:
    RFC 6143, 7.7.6 (ZRLE); rfbproto.rst of the RFB community (Tight).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

Read = Callable[[int], bytes]


class Zrle:
    """Tiles of 64x64 in one zlib stream; a pixel is three bytes, B G R."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()

    def take(self, read: Read, target: np.ndarray) -> None:
        data = self._stream.decompress(read(struct.unpack(">I", read(4))[0]))
        at = 0
        for y in range(0, target.shape[0], 64):
            for x in range(0, target.shape[1], 64):
                at = _zrle_tile(data, at, target[y : y + 64, x : x + 64])


def _zrle_tile(data: bytes, at: int, tile: np.ndarray) -> int:
    """Decode one tile from *at*; return the offset of the next."""
    height, width = _size(tile)
    kind, at = data[at], at + 1
    colours = kind & 0x7F
    if kind == 0:
        end = at + width * height * 3
        tile[..., :3] = np.frombuffer(data[at:end], np.uint8).reshape(height, width, 3)
        return end
    if kind == 128:
        return _plain_runs(data, at, tile)
    end = at + colours * 3
    palette = np.frombuffer(data[at:end], np.uint8).reshape(colours, 3)
    if kind == 1:
        tile[..., :3] = palette[0]
        return end
    if kind > 128:
        return _palette_runs(data, end, tile, palette)
    bits = 1 if colours == 2 else 2 if colours <= 4 else 4
    return _packed(data, end, tile, palette, bits)


def _size(tile: np.ndarray) -> tuple[int, int]:
    height, width = tile.shape[:2]
    return int(height), int(width)


def _packed(data: bytes, at: int, tile: np.ndarray, palette: np.ndarray, bits: int) -> int:
    height, width = _size(tile)
    stride = (width * bits + 7) // 8
    end = at + stride * height
    rows = np.unpackbits(np.frombuffer(data[at:end], np.uint8).reshape(height, stride), axis=1)
    index = rows.reshape(height, -1, bits)[:, :width] @ (1 << np.arange(bits)[::-1])
    tile[..., :3] = palette[np.minimum(index, len(palette) - 1)]
    return end


def _length(data: bytes, at: int) -> tuple[int, int]:
    run = 1
    while data[at] == 255:
        run, at = run + 255, at + 1
    return run + data[at], at + 1


def _plain_runs(data: bytes, at: int, tile: np.ndarray) -> int:
    colours, runs, left = [], [], tile.shape[0] * tile.shape[1]
    while left > 0:
        colours.append(data[at : at + 3])
        run, at = _length(data, at + 3)
        runs.append(run)
        left -= run
    pixels = np.frombuffer(b"".join(colours), np.uint8).reshape(-1, 3)
    tile[..., :3] = np.repeat(pixels, runs, axis=0).reshape(*tile.shape[:2], 3)
    return at


def _palette_runs(data: bytes, at: int, tile: np.ndarray, palette: np.ndarray) -> int:
    colours, runs, left = [], [], tile.shape[0] * tile.shape[1]
    while left > 0:
        byte, run, at = data[at], 1, at + 1
        if byte & 0x80:
            run, at = _length(data, at)
        colours.append(byte & 0x7F)
        runs.append(run)
        left -= run
    tile[..., :3] = np.repeat(palette[colours], runs, axis=0).reshape(*tile.shape[:2], 3)
    return at


class Tight:
    """Rectangles in up to four zlib streams; a pixel is three bytes, R G B."""

    def __init__(self) -> None:
        self._streams = [zlib.decompressobj() for _ in range(4)]

    def take(self, read: Read, target: np.ndarray) -> None:
        control = read(1)[0]
        for number in range(4):
            if control >> number & 1:
                self._streams[number] = zlib.decompressobj()
        kind = control >> 4
        if kind == 8:  # one colour
            target[..., :3] = np.frombuffer(read(3), np.uint8)[::-1]
        elif kind < 8:
            self._basic(read, target, self._streams[kind & 3], bool(kind & 4))
        else:
            raise ConnectionError(f"Tight compression {kind} was not asked for")

    def _basic(self, read: Read, target: np.ndarray, stream: object, filtered: bool) -> None:
        height, width = target.shape[:2]
        how = read(1)[0] if filtered else 0
        if how == 0:
            data = _packed_bytes(read, width * height * 3, stream)
            target[..., :3] = data.reshape(height, width, 3)[..., ::-1]
            return
        if how != 1:
            raise ConnectionError(f"Tight filter {how} is one of lossy settings")
        colours = read(1)[0] + 1
        palette = np.frombuffer(read(colours * 3), np.uint8).reshape(colours, 3)[:, ::-1]
        if colours == 2:
            stride = (width + 7) // 8
            data = _packed_bytes(read, stride * height, stream).reshape(height, stride)
            index = np.unpackbits(data, axis=1)[:, :width]
        else:
            index = _packed_bytes(read, width * height, stream).reshape(height, width)
        target[..., :3] = palette[index]


def _packed_bytes(read: Read, size: int, stream: object) -> np.ndarray:
    """Return bytes of a known size: plain if they are few, otherwise from the stream."""
    if size < 12:
        return np.frombuffer(read(size), np.uint8)
    length = 0
    for shift in (0, 7, 14):
        byte = read(1)[0]
        length |= (byte & (0x7F if shift < 14 else 0xFF)) << shift
        if not byte & 0x80:
            break
    return np.frombuffer(stream.decompress(read(length)), np.uint8)  # type: ignore[attr-defined]
