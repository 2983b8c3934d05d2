from __future__ import annotations

import numpy as np
import pytest

from kju.sources.pattern import PatternSource, damage, picture
from kju.surface import NOTHING_TAKEN, State, surface_size
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer

CAPACITY = 1 << 21


def surface() -> tuple[Producer, Consumer]:
    memory = np.zeros(surface_size(CAPACITY), np.uint8)
    return Producer.format(memory.data, CAPACITY, incarnation=7), Consumer(memory.data)


def pattern(producer: Producer, report: object = None) -> PatternSource:
    return PatternSource(producer, report, size=(200, 160), rate=0)


def test_frames_equal_the_formula():
    producer, consumer = surface()
    source = pattern(producer)
    source.start()
    mark = consumer.changes(NOTHING_TAKEN).mark
    for _ in range(200):
        source.step()
        assert (producer.pixels == picture(source.size, source.frame)).all()
    assert consumer.changes(mark).rects
    source.stop()


@pytest.mark.parametrize("frame", range(1, 100, 7))
def test_damage_covers_every_difference(frame):
    before, after = picture((200, 160), frame - 1), picture((200, 160), frame)
    for x, y, width, height in damage((200, 160), frame):
        before[y : y + height, x : x + width] = after[y : y + height, x : x + width]
    assert (before == after).all()


def test_thread_draws_at_the_given_rate():
    producer, consumer = surface()
    source = PatternSource(producer, size=(200, 160), rate=1000)
    source.start()
    version = consumer.reader.version
    while source.frame < 3:
        assert consumer.reader.wait(version, 0, State.LIVE, 500) in (True, False)
    source.stop()
    frame = source.frame
    assert (producer.pixels == picture(source.size, frame)).all()
