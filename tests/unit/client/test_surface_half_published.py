"""Consumers do not spin after a producer was killed during a publication."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import numpy as np
import pytest
from support.origin import KnownEnd

import kju
import kju.aio
from kju.errors import FormatError, ProducerGoneError, WaitTimeoutError
from kju.memory import SurfaceProducer

VERSION = 128
"""Offset of the surface's version, include/kju/surface.h."""
MODE_SEQUENCE = 148


@pytest.fixture
def producer() -> Iterator[SurfaceProducer]:
    with SurfaceProducer.create("memfd:half", capacity=1 << 16) as made:
        made.set_mode(64, 64)
        made.publish([(0, 0, 8, 8)])
        # The memory between the writes of the tiles' versions and of the surface's.
        np.frombuffer(made.memory.mapping, np.uint64, 1, VERSION)[0] -= 1
        yield made


def test_end_of_the_producer_is_noticed(producer: SurfaceProducer) -> None:
    with kju.Surface(KnownEnd(os.dup(producer.memory.fileno()), lambda: "killed")) as surface:
        changes = surface.changes(timeout=60)
        next(changes)
        with pytest.raises(ProducerGoneError, match="killed"):
            next(changes)


@pytest.mark.parametrize("form", [kju.Surface, kju.aio.Surface])
def test_half_written_mode_is_reported_until_the_end_is_known(
    producer: SurfaceProducer, form: type
) -> None:
    number = os.dup(producer.memory.fileno())
    why: list[str] = []
    surface = form(KnownEnd(number, lambda: why[0] if why else None))
    np.frombuffer(producer.memory.mapping, np.uint32, 1, MODE_SEQUENCE)[0] |= 1

    def wait() -> None:
        found = surface.wait(timeout=30)
        if asyncio.iscoroutine(found):
            asyncio.run(found)

    with pytest.raises(FormatError, match="half written"):
        wait()
    why.append("killed")
    with pytest.raises(ProducerGoneError, match="killed"):
        wait()
    surface.close()


async def test_asyncio_notices_the_end_of_the_producer(producer: SurfaceProducer) -> None:
    number = os.dup(producer.memory.fileno())
    with pytest.raises(ProducerGoneError, match="killed"):
        async with kju.aio.Surface(KnownEnd(number, lambda: "killed")) as surface:
            taken = 0
            async for _ in surface.changes(timeout=60):
                taken += 1
                assert taken == 1


def test_later_publication_is_received(producer: SurfaceProducer) -> None:
    with kju.Surface(KnownEnd(os.dup(producer.memory.fileno()), lambda: None)) as surface:
        first = surface.wait(kju.Mark(0, 0, 0), timeout=60)
        with pytest.raises(WaitTimeoutError):
            surface.wait(first.mark, timeout=0.05)
        producer.publish([(32, 32, 8, 8)])
        assert surface.wait(first.mark, timeout=60).rects
