"""Pixels that somebody else draws, watched: published whole, and where they lie is said."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from support.wait import until

from kju.errors import InconsistentError
from kju.memory._system import Mapping
from kju.sources.base import Need, Phase, Status
from kju.sources.framebuffer import GONE, WindowSource
from kju.surface import NOTHING_TAKEN, State, surface_size
from kju.surface.consumer import Consumer, copy_frame
from kju.surface.geometry import Place
from kju.surface.producer import Producer

WIDTH, HEIGHT = 320, 200
STRIDE = WIDTH * 4
SIZE = 1 << 20
PLACE = Place(WIDTH, HEIGHT, STRIDE, 0)


class Scene:
    """A window, a surface, and what the source says."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("window")
        os.ftruncate(self.descriptor, SIZE)
        self.window = Mapping(self.descriptor, SIZE)
        self.drawn = np.frombuffer(Mapping(self.descriptor, SIZE, writable=True), np.uint8)
        self.drawn[:] = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
        self.producer, self.consumer = surface()
        self.statuses: list[Status] = []

    def source(self, place: Place = PLACE, **how: bool) -> WindowSource:
        self.started = WindowSource(self.window, place, self.producer, self.statuses.append, **how)
        self.started.start()
        return self.started

    def picture(self, place: Place) -> np.ndarray:
        shape, steps = (place.height, place.width, 4), (place.stride, 4, 1)
        return np.ndarray(shape, np.uint8, self.drawn.data, place.offset, steps)

    def published(self, place: Place) -> bool:
        pixels = self.producer.pixels
        here = self.picture(place)
        return pixels.shape == here.shape and bool((pixels == here).all())


def surface(capacity: int = SIZE) -> tuple[Producer, Consumer]:
    memory = np.zeros(surface_size(capacity), np.uint8)
    return Producer.format(memory.data, capacity, incarnation=7), Consumer(memory.data)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    made.started = None
    yield made
    if made.started is not None:
        made.started.stop()
    os.close(made.descriptor)
    assert not [t for t in threading.enumerate() if t.name.startswith("kju-vram")]


def test_what_is_drawn_is_published_by_itself(scene: Scene) -> None:
    scene.source()
    assert scene.published(PLACE)
    assert scene.consumer.reader.live()[:3] == (1, 0, STRIDE)
    for value in range(20):
        scene.drawn[STRIDE * 3 * value] = value
        until(lambda: scene.published(PLACE), 5, f"change {value}")
    mark = scene.consumer.changes(NOTHING_TAKEN).mark
    assert mark.epoch == 1


def test_a_flush_is_now(scene: Scene) -> None:
    source = scene.source()
    for value in range(50):
        scene.drawn[value * 700 : value * 700 + 3] = value
        assert source.flush(5)
        assert scene.published(PLACE)


def test_panning_is_damage_and_no_new_mode(scene: Scene) -> None:
    source = scene.source()
    for offset in (STRIDE, STRIDE * 7 + 40, SIZE - STRIDE * HEIGHT, 0):
        place = PLACE._replace(offset=offset)
        source.show(place)
        assert source.flush(5)
        assert scene.published(place)
        assert source.place == place
        number, there, stride, epoch = scene.consumer.reader.live()
        assert (number > 0, there, stride, epoch) == (True, offset, STRIDE, 1)
    assert scene.producer.mode.epoch == 1


def test_rows_further_apart_are_no_new_mode(scene: Scene) -> None:
    source = scene.source()
    wider = Place(WIDTH, HEIGHT, STRIDE * 2, 64)
    source.show(wider)
    assert source.flush(5)
    assert scene.published(wider)
    assert scene.consumer.reader.live()[1:3] == (64, STRIDE * 2)
    assert scene.producer.mode.epoch == 1


def test_another_size_is_a_new_mode(scene: Scene) -> None:
    source = scene.source()
    for number, size in enumerate(((64, 64), (1, 1), (512, 511), (WIDTH, HEIGHT)), 2):
        place = Place(*size, size[0] * 4, 128)
        source.show(place)
        assert source.flush(5)
        assert scene.published(place)
        assert source.size == size
        assert scene.producer.mode.epoch == number


def test_the_same_place_again_is_nothing(scene: Scene) -> None:
    source = scene.source()
    assert source.flush(5)
    number, version = scene.consumer.reader.live_number, scene.producer.version
    for _ in range(10):
        source.show(PLACE)
    assert source.flush(5)
    assert (scene.consumer.reader.live_number, scene.producer.version) == (number, version)


def test_a_surface_too_small_asks_for_a_larger(scene: Scene) -> None:
    scene.producer, scene.consumer = surface(WIDTH * HEIGHT * 4)
    source = scene.source()
    large = Place(600, 430, 2400, 0)
    source.show(large)
    until(lambda: scene.statuses[-1].need is Need.LARGER)
    needed = scene.statuses[-1].needed
    assert scene.consumer.reader.live_number == 0
    assert scene.producer.mode[:2] == (WIDTH, HEIGHT)
    assert source.flush(5)  # nothing to publish, and nobody waits
    old, old_consumer = scene.producer, scene.consumer
    scene.producer, scene.consumer = surface(needed)
    source.retarget(scene.producer)
    assert source.flush(5)
    assert scene.published(large)
    assert scene.statuses[-1].need is Need.NOTHING
    assert scene.consumer.reader.live_number
    assert not old_consumer.reader.live_number
    scene.drawn[5] ^= 1
    until(lambda: scene.published(large))
    assert old.version == old_consumer.reader.version


def test_a_pause_is_said(scene: Scene) -> None:
    source = scene.source()
    for now, state in ((True, State.PAUSED), (False, State.LIVE)):
        source.pause(now)
        until(lambda state=state: scene.consumer.state[0] == state)
    source.stop()
    source.pause(True)
    assert scene.consumer.state[0] == State.LIVE


def test_a_stopped_source_takes_its_window_back(scene: Scene) -> None:
    source = scene.source()
    source.stop()
    source.stop()
    assert scene.consumer.reader.live_number == 0
    assert scene.statuses[-1].phase is Phase.ENDED
    version = scene.producer.version
    scene.drawn[:64] ^= 255
    assert not source.flush(5)
    source.input()
    assert scene.producer.version == version


def test_one_that_never_started_can_be_stopped(scene: Scene) -> None:
    WindowSource(scene.window, PLACE, scene.producer).stop()


def test_a_window_nobody_may_have(scene: Scene) -> None:
    source = scene.source(live=False)
    source.show(PLACE._replace(offset=STRIDE))
    assert source.flush(5)
    assert scene.consumer.reader.live_number == 0


def test_memory_that_is_cut_ends_the_source_and_nothing_else(scene: Scene) -> None:
    scene.source()
    os.ftruncate(scene.descriptor, 4096)
    until(lambda: scene.statuses[-1].phase is Phase.ENDED, 5, "the end of the source")
    assert scene.statuses[-1].reason == GONE
    assert scene.consumer.reader.live_number == 0
    until(lambda: scene.consumer.state == (State.UNAVAILABLE, GONE))


def test_a_place_that_leaves_the_window_is_refused(scene: Scene) -> None:
    """The host checks it; should it not, nothing beyond the window is ever read."""
    source = scene.source()
    source.show(PLACE._replace(offset=SIZE))
    assert source.flush(5)
    assert scene.consumer.reader.live_number == 0
    source.show(PLACE)
    assert source.flush(5)
    assert scene.published(PLACE)


def test_a_place_that_is_asked_for_again_before_the_one_between_is_shown(scene: Scene) -> None:
    source = scene.source()
    goes_on = threading.Event()
    source._ask(lambda: goes_on.wait(5) and None)  # the thread is at work
    source.show(PLACE._replace(offset=STRIDE * 50))
    source.show(PLACE)
    goes_on.set()
    assert source.flush(5)
    assert source.place == PLACE
    assert scene.published(PLACE)


def test_places_change_while_it_is_drawn_and_looked_at(scene: Scene) -> None:
    """Everybody at once: what a copy from the live window says it is, it is."""
    source = scene.source()
    places = [
        PLACE,
        Place(64, 64, 256, 8192),
        PLACE._replace(offset=STRIDE * 50),
        Place(128, 100, 1024, 64),
    ]
    ends = threading.Event()
    wrong: list[str] = []

    def look() -> None:
        while not ends.is_set():
            with contextlib.suppress(InconsistentError):
                copy = copy_frame(
                    scene.consumer, None, "bgrx", False, lambda s: np.empty(s, np.uint8), 50,
                    scene.window,
                )  # fmt: skip
                if copy is None:
                    continue
                shapes = [p for p in places if p[:2] == (copy.mode.width, copy.mode.height)]
                if not any((copy.pixels == scene.picture(p)).all() for p in shapes):
                    wrong.append(f"{copy.mode}")

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    for turn in range(400):
        source.show(places[turn % len(places)])
        if turn % 7 == 0:
            source.input()
    assert source.flush(5)
    ends.set()
    for looker in lookers:
        looker.join()
    assert not wrong
    assert scene.published(places[399 % len(places)])
