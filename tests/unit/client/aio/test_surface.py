"""The work of an asynchronous surface outside the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import threading
from collections.abc import Iterator

import pytest
from support.origin import KnownEnd

from kju.client.aio.surface import Surface as AsyncSurface
from kju.client.consumer import base
from kju.errors import InconsistentError
from kju.memory import SurfaceProducer


@pytest.fixture
def producer() -> Iterator[SurfaceProducer]:
    with SurfaceProducer.create("memfd:aio", capacity=1 << 16) as made:
        made.set_mode(64, 48)
        yield made


async def test_consistent_copy_does_not_block_the_event_loop(
    producer: SurfaceProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder of the producer waits for the event loop, which must run meanwhile."""
    monkeypatch.setattr(base, "_EXACT_SECONDS", 0.0)
    holding, released = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def hold() -> Iterator[None]:
        holding.set()
        assert released.wait(10), "the loop stands still"
        producer.publish([(0, 0, 8, 8)])
        yield

    number = os.dup(producer.memory.fileno())
    async with AsyncSurface(KnownEnd(number, lambda: None, hold)) as surface:
        producer.begin()
        copy = asyncio.ensure_future(surface.frame(consistent=True, pixels="bgrx"))
        while not holding.is_set():
            await asyncio.sleep(0)
        released.set()
        frame = await copy
        assert frame.consistent
        assert frame.version == producer.version


async def test_copy_of_a_producer_that_never_pauses_is_an_error(
    producer: SurfaceProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "_EXACT_SECONDS", 0.0)
    async with AsyncSurface.from_fd(os.dup(producer.memory.fileno())) as surface:
        producer.begin()
        copy = surface.frame(consistent=True, pixels="bgrx")
        with pytest.raises(InconsistentError):
            await copy
        assert (await surface.frame()).shape == (48, 64, 3), "a plain copy does not wait"
        producer.publish([(0, 0, 8, 8)])


async def test_picture_is_written_outside_the_event_loop(producer: SurfaceProducer) -> None:
    written: set[str] = set()

    class File(io.BytesIO):
        def write(self, data: object) -> int:
            written.add(threading.current_thread().name)
            return super().write(data)  # type: ignore[arg-type]

    async with AsyncSurface.from_fd(os.dup(producer.memory.fileno())) as surface:
        target = File()
        frame = await surface.screenshot(target)
        assert frame.shape == (48, 64, 3)
        assert target.getvalue().startswith(b"\x89PNG")
    assert threading.main_thread().name not in written
