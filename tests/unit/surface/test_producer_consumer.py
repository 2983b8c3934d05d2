"""Surfaces on a bytearray: what either side refuses, and a surface that has no mode yet."""

import struct

import numpy as np
import pytest
from support.header import set_field

from kju.errors import FormatError, GeometryError, UnavailableError
from kju.surface import NOTHING_TAKEN, Mark, layout, surface_size
from kju.surface.consumer import Consumer, copy_frame
from kju.surface.geometry import Rect
from kju.surface.producer import Producer


@pytest.mark.parametrize(
    ("capacity", "arguments"),
    [
        (0, {}),
        (-1, {}),
        (2**64 + 4096, {}),
        (2**41, {}),
        (4096, {"tile": 24}),
        (4096, {"tile": 4}),
        (4096, {"tile": 512}),
        (4096, {"tile": 2**32 + 32}),
        (4096, {"max_side": 0}),
        (4096, {"max_side": 65536}),
        (4096, {"max_side": 2**32 + 64}),
    ],
)
def test_an_impossible_layout(capacity, arguments):
    with pytest.raises(GeometryError):
        surface_size(capacity, **arguments)


def test_memory_that_is_not_aligned(memory, producer):
    shifted = memoryview(bytearray(b"\0") + memory)[1:]
    with pytest.raises(FormatError):
        Consumer(shifted)


@pytest.mark.parametrize("length", [0, 1, 7])
def test_too_short_to_be_recognised(memory, producer, length):
    with pytest.raises(FormatError, match="not a kju surface"):
        Consumer(memory[:length])


@pytest.mark.parametrize("length", [8, 127, 4095])
def test_too_short_for_a_header(memory, producer, length):
    with pytest.raises(FormatError, match="ends before"):
        Consumer(memory[:length])


def test_cut_memory_is_refused(memory, producer):
    with pytest.raises(FormatError) as caught:
        Consumer(memory[:-1])
    assert caught.value.found == struct.pack("<Q", len(memory))


LARGE = 2**64 - 8
LIES = {
    "magic": [0, layout.MAGIC ^ 1],
    "format": [0, 2, 2**32 - 1],
    "features": [1, 2**31],
    "size": [LARGE, 0, 4096],
    "tiles_offset": [0, 1, 4097, LARGE, 2**63],
    "tiles_capacity": [LARGE, 2**61, 2**40],
    "cursor_offset": [0, 4096, 4097, LARGE],
    "cursor_capacity": [LARGE, 2**40],
    "pixels_offset": [0, 4096, 4097, LARGE & ~4095],
    "pixels_capacity": [LARGE, 2**40],
    "tile_side": [0, 1, 4, 24, 31, 512, 2**31, 2**32 - 1],
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in LIES.items() for v in vs])
def test_a_header_that_lies_is_refused(memory, producer, name, value):
    set_field(memory, name, value)
    with pytest.raises(FormatError) as caught:
        Consumer(memory)
    assert caught.value.expected
    with pytest.raises(FormatError):
        Producer(memory)


def test_before_the_first_mode(memory, producer):
    consumer = Consumer(memory)
    assert consumer.mode.epoch == 0
    assert consumer.changes(NOTHING_TAKEN) == (Mark(3, 0, 0), consumer.mode, [], False)
    assert consumer.tile_versions().size == 0
    with pytest.raises(UnavailableError):
        copy_frame(consumer, None, "bgrx", False, np.empty, 1)
    for call in (
        lambda: producer.draw(Rect(0, 0, 0, 0), b""),
        lambda: producer.compare(b""),
        lambda: producer.publish_range(0, 0),
        lambda: producer.publish([Rect(0, 0, 1, 1)]),
    ):
        with pytest.raises(GeometryError):
            call()
