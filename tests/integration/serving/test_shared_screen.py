"""Publications are reported to the event loop by one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest
from support.surfaces import publish
from support.wait import until_async

from kju.memory import SurfaceProducer
from kju.serving.shared_screen import PublicationWatch
from kju.surface._core import Reader
from kju.surface.consumer import Consumer


@pytest.fixture
def producer() -> Iterator[SurfaceProducer]:
    made = publish("memfd:kju-test-watch")
    yield made
    made.close()


def draw(producer: SurfaceProducer, value: int) -> None:
    producer.begin()
    producer.pixels[:4, :4] = value
    producer.publish([(0, 0, 4, 4)])


def watching() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "kju-publications"]


def watch_by(
    reader: Reader, report: Callable[[], object]
) -> tuple[PublicationWatch, threading.Thread]:
    """Begin to watch; return the thread, too: those of other tests may end later."""
    before = watching()
    watch = PublicationWatch(reader, report)
    (thread,) = [each for each in watching() if each not in before]
    return watch, thread


async def test_each_publication_is_reported_and_all_by_one_thread(
    producer: SurfaceProducer,
) -> None:
    reader = Consumer(producer.memory.mapping).reader
    seen: list[int] = []
    watch, thread = watch_by(reader, lambda: seen.append(reader.version))
    threads = watching()
    for value in range(2, 7):
        draw(producer, value)
        await until_async(lambda: seen[-1:] == [producer.version])
        assert thread in watching() and set(watching()) <= set(threads)
    watch.stop()
    await until_async(lambda: not thread.is_alive())


async def test_publications_during_one_turn_of_the_loop_are_reported_once(
    producer: SurfaceProducer,
) -> None:
    reader = Consumer(producer.memory.mapping).reader
    seen: list[int] = []
    watch = PublicationWatch(reader, lambda: seen.append(reader.version))
    for value in range(2, 100):
        draw(producer, value)
    await until_async(lambda: seen[-1:] == [producer.version])
    assert len(seen) < 5
    watch.stop()


async def test_a_cursor_that_moves_is_reported_and_delays_no_pixels(
    producer: SurfaceProducer,
) -> None:
    reader = Consumer(producer.memory.mapping).reader
    seen: list[tuple[int, int]] = []
    watch = PublicationWatch(reader, lambda: seen.append((reader.version, reader.cursor_version)))
    for at in range(200):
        producer.move_cursor(at, at, True)
    last = reader.cursor_version
    await until_async(lambda: seen[-1:] == [(reader.version, last)])
    assert len(seen) < 100
    draw(producer, 9)
    await until_async(lambda: seen[-1:] == [(producer.version, last)])
    watch.stop()


async def test_nothing_is_reported_after_the_end(producer: SurfaceProducer) -> None:
    reader = Consumer(producer.memory.mapping).reader
    seen: list[int] = []
    watch, thread = watch_by(reader, lambda: seen.append(1))
    draw(producer, 2)
    watch.stop()
    await asyncio.to_thread(thread.join, 10)
    await asyncio.sleep(0)
    assert seen == []
