"""A small surface on a bytearray with its two sides, and the rules of unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.unit_rules import violations

from kju.surface import surface_size
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer

CAPACITY = 64 * 48 * 4


@pytest.fixture(autouse=True)
def no_sockets_and_no_sleeping() -> Iterator[None]:
    """Fail a unit test that opens a socket or sleeps; it belongs in tests/integration."""
    with violations() as found:
        yield
    assert not found, f"a unit test does not open sockets or sleep: {found}"


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
