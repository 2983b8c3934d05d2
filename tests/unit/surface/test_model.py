"""The values that both sides of a surface share, and its size in memory."""

from __future__ import annotations

import numpy as np
import pytest

from kju.errors import GeometryError
from kju.surface import MAX_SIDE, NOTHING_TAKEN, Mark, Mode, surface_size
from kju.surface.formats import BYTES_PER_PIXEL, R8, XR24
from kju.surface.geometry import Rect
from kju.surface.model import TILE_SIDE, bytes_of, pixel_array
from kju.surface.producer import Producer


def test_a_modes_whole_is_its_rectangle() -> None:
    assert Mode(640, 480, 2560, XR24, 3).whole == Rect(0, 0, 640, 480)


def test_nothing_taken_is_older_than_every_mark() -> None:
    assert NOTHING_TAKEN == Mark(0, 0, 0) < Mark(1, 1, 1)


def test_a_producer_fits_into_exactly_the_computed_size() -> None:
    capacity = 64 * 48 * 4
    size = surface_size(capacity, max_side=128)
    Producer.format(bytearray(size), capacity, incarnation=1, max_side=128).set_mode(64, 48)
    with pytest.raises(GeometryError):
        Producer.format(bytearray(size - 1), capacity, incarnation=1, max_side=128)


def test_more_pixels_and_smaller_tiles_need_more_memory() -> None:
    assert surface_size(1 << 20) < surface_size(1 << 21)
    assert surface_size(1 << 20, tile=TILE_SIDE) < surface_size(1 << 20, tile=TILE_SIDE // 2)


@pytest.mark.parametrize(
    ("capacity", "tile", "side"),
    [(-1, TILE_SIDE, MAX_SIDE), (1 << 20, 0, MAX_SIDE), (1 << 20, TILE_SIDE, 0),
     (1 << 20, TILE_SIDE, 1 << 20), (1 << 62, TILE_SIDE, MAX_SIDE)],
)  # fmt: skip
def test_an_impossible_layout_is_refused(capacity: int, tile: int, side: int) -> None:
    with pytest.raises(GeometryError):
        surface_size(capacity, tile=tile, max_side=side)


@pytest.mark.parametrize("fourcc", [XR24, R8])
def test_a_pixel_array_is_a_view_with_the_modes_stride(fourcc: int) -> None:
    size = BYTES_PER_PIXEL[fourcc]
    mode = Mode(5, 3, 5 * size + 12, fourcc, 1)
    memory = np.zeros(7 + mode.stride * mode.height, np.uint8)
    pixels = pixel_array(memory, 7, mode)
    pixels[2, 4] = 9
    assert np.flatnonzero(memory).tolist() == [
        7 + 2 * mode.stride + 4 * size + channel for channel in range(size)
    ]


def test_bytes_of_a_buffer_are_not_a_copy() -> None:
    buffer = bytearray(8)
    bytes_of(buffer)[3] = 1
    assert buffer == b"\0\0\0\1\0\0\0\0"
