"""A small surface on a bytearray, and its two sides."""

from __future__ import annotations

import pytest

from kju.surface import surface_size
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer

CAPACITY = 64 * 48 * 4


@pytest.fixture
def memory():
    return bytearray(surface_size(CAPACITY, max_side=128))


@pytest.fixture
def producer(memory):
    return Producer.format(memory, CAPACITY, incarnation=3, max_side=128)


@pytest.fixture
def consumer(memory, producer):
    producer.set_mode(64, 48)
    return Consumer(memory)
