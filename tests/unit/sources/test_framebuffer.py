"""Reading another process's pixels: publication, places, and the live window."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from support.wait import until

from kju.errors import InconsistentError
from kju.memory._system import Mapping
from kju.sources import framebuffer
from kju.sources.base import Need, Phase, SourceStatus
from kju.sources.framebuffer import MS, TRUNCATED, FramebufferSource
from kju.surface import NOTHING_TAKEN, State, surface_size
from kju.surface.consumer import Consumer, copy_frame
from kju.surface.geometry import Place
from kju.surface.producer import Producer

WIDTH, HEIGHT = 320, 200
STRIDE = WIDTH * 4
SIZE = 1 << 20
PLACE = Place(WIDTH, HEIGHT, STRIDE, 0)


class Scene:
    """A memory, a surface, and the statuses of the source."""

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("framebuffer")
        os.ftruncate(self.descriptor, SIZE)
        self.memory = Mapping(self.descriptor, SIZE)
        self.drawn = np.frombuffer(Mapping(self.descriptor, SIZE, writable=True), np.uint8)
        self.drawn[:] = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
        self.producer, self.consumer = surface()
        self.statuses: list[SourceStatus] = []

    def source(self, place: Place = PLACE, **how: bool) -> FramebufferSource:
        self.started = FramebufferSource(
            self.memory, place, self.producer, self.statuses.append, **how
        )
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


def test_changes_in_the_memory_are_published(scene: Scene) -> None:
    scene.source()
    assert scene.published(PLACE)
    assert scene.consumer.reader.live()[:3] == (1, 0, STRIDE)
    for value in range(20):
        scene.drawn[STRIDE * 3 * value] = value
        until(lambda: scene.published(PLACE), f"change {value}")
    mark = scene.consumer.changes(NOTHING_TAKEN).mark
    assert mark.epoch == 1


def test_flush_publishes_at_once(scene: Scene) -> None:
    source = scene.source()
    for value in range(50):
        scene.drawn[value * 700 : value * 700 + 3] = value
        assert source.flush(5)
        assert scene.published(PLACE)


def test_another_offset_is_damage_and_not_a_new_mode(scene: Scene) -> None:
    source = scene.source()
    for offset in (STRIDE, STRIDE * 7 + 40, SIZE - STRIDE * HEIGHT, 0):
        place = PLACE._replace(offset=offset)
        source.move(place)
        assert source.flush(5)
        assert scene.published(place)
        assert source.place == place
        number, there, stride, epoch = scene.consumer.reader.live()
        assert (number > 0, there, stride, epoch) == (True, offset, STRIDE, 1)
    assert scene.producer.mode.epoch == 1


def test_another_stride_is_not_a_new_mode(scene: Scene) -> None:
    source = scene.source()
    wider = Place(WIDTH, HEIGHT, STRIDE * 2, 64)
    source.move(wider)
    assert source.flush(5)
    assert scene.published(wider)
    assert scene.consumer.reader.live()[1:3] == (64, STRIDE * 2)
    assert scene.producer.mode.epoch == 1


def test_another_size_is_a_new_mode(scene: Scene) -> None:
    source = scene.source()
    for number, size in enumerate(((64, 64), (1, 1), (512, 511), (WIDTH, HEIGHT)), 2):
        place = Place(*size, size[0] * 4, 128)
        source.move(place)
        assert source.flush(5)
        assert scene.published(place)
        assert source.size == size
        assert scene.producer.mode.epoch == number


def test_moving_to_the_same_place_publishes_nothing(scene: Scene) -> None:
    source = scene.source()
    assert source.flush(5)
    number, version = scene.consumer.reader.live_number, scene.producer.version
    for _ in range(10):
        source.move(PLACE)
    assert source.flush(5)
    assert (scene.consumer.reader.live_number, scene.producer.version) == (number, version)


def test_source_of_a_small_surface_requests_a_larger_one(scene: Scene) -> None:
    scene.producer, scene.consumer = surface(WIDTH * HEIGHT * 4)
    source = scene.source()
    large = Place(600, 430, 2400, 0)
    source.move(large)
    until(lambda: scene.statuses[-1].need is Need.LARGER)
    needed = scene.statuses[-1].needed
    assert scene.consumer.reader.live_number == 0
    assert scene.producer.mode[:2] == (WIDTH, HEIGHT)
    assert source.flush(5)  # there is nothing to publish
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


def test_pause_changes_the_state(scene: Scene) -> None:
    source = scene.source()
    for now, state in ((True, State.PAUSED), (False, State.LIVE)):
        source.set_paused(now)
        until(lambda state=state: scene.consumer.state[0] == state)
    source.stop()
    source.set_paused(True)
    assert scene.consumer.state[0] == State.LIVE


def test_stopped_source_withdraws_the_live_window(scene: Scene) -> None:
    source = scene.source()
    source.stop()
    source.stop()
    assert scene.consumer.reader.live_number == 0
    assert scene.statuses[-1].phase is Phase.ENDED
    version = scene.producer.version
    scene.drawn[:64] ^= 255
    assert not source.flush(5)
    source.note_input()
    assert scene.producer.version == version


def test_source_that_never_started_can_be_stopped(scene: Scene) -> None:
    source = FramebufferSource(scene.memory, PLACE, scene.producer)
    source.stop()
    assert source.status.phase is Phase.ENDED


def test_source_without_a_live_window_publishes_none(scene: Scene) -> None:
    source = scene.source(live=False)
    source.move(PLACE._replace(offset=STRIDE))
    assert source.flush(5)
    assert scene.consumer.reader.live_number == 0


def test_truncated_memory_ends_the_source_and_nothing_else(scene: Scene) -> None:
    scene.source()
    os.ftruncate(scene.descriptor, 4096)
    until(lambda: scene.statuses[-1].phase is Phase.ENDED, "the end of the source")
    assert scene.statuses[-1].reason == TRUNCATED
    assert scene.consumer.reader.live_number == 0
    until(lambda: scene.consumer.state == (State.UNAVAILABLE, TRUNCATED))


def test_place_outside_of_the_memory_is_rejected(scene: Scene) -> None:
    """The host checks the place. If it did not, nothing outside of the memory would be read."""
    source = scene.source()
    source.move(PLACE._replace(offset=SIZE))
    assert source.flush(5)
    assert scene.consumer.reader.live_number == 0
    source.move(PLACE)
    assert source.flush(5)
    assert scene.published(PLACE)


def test_move_there_and_back_before_the_thread_runs_ends_at_the_first_place(scene: Scene) -> None:
    source = scene.source()
    goes_on = threading.Event()
    source._submit(lambda: goes_on.wait(5) and None)  # the thread is at work
    source.move(PLACE._replace(offset=STRIDE * 50))
    source.move(PLACE)
    goes_on.set()
    assert source.flush(5)
    assert source.place == PLACE
    assert scene.published(PLACE)


def test_copies_match_their_mode_while_the_place_changes(scene: Scene) -> None:
    """Every copy from the live window shows the mode that it claims."""
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
                    scene.memory,
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
        source.move(places[turn % len(places)])
        if turn % 7 == 0:
            source.note_input()
    assert source.flush(5)
    ends.set()
    for looker in lookers:
        looker.join()
    assert not wrong
    assert scene.published(places[399 % len(places)])


def test_source_compares_no_more_often_than_its_viewers_look(scene: Scene) -> None:
    source = scene.source()
    source.set_rate(30.0)
    assert source.flush(5)
    began, before = time.monotonic(), scene.producer.version

    def draw() -> bool:
        scene.drawn[:64] ^= 255
        source.note_input()  # no viewer looks soon, so it does not hurry
        return scene.producer.version >= before + 6

    until(draw, what="six looks")
    assert time.monotonic() - began >= 5 / 30 - 0.001
    until(lambda: scene.published(PLACE), what="the next look")


def test_change_of_one_row_is_found_by_one_of_eight_looks(scene: Scene) -> None:
    source = scene.source()
    source.set_rate(39.0)
    for row in range(16):
        scene.drawn[row * STRIDE] ^= 255
        until(lambda: scene.published(PLACE), f"row {row}")


def test_some_looks_compare_everything(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framebuffer, "LOOK_AT_ALL", 0)
    source = scene.source()
    source.set_rate(0.001)
    assert source.flush(5)
    assert source.flush(5)  # the first may be answered before the first look
    scene.drawn[:: STRIDE * 3] ^= 255
    version = scene.producer.version
    source.set_rate(30.0)
    until(lambda: scene.published(PLACE), "everything")
    assert scene.producer.version == version + 1


def test_higher_rate_looks_at_once(scene: Scene) -> None:
    source = scene.source()
    source.set_rate(0.001)
    assert source.flush(5)
    scene.drawn[:64] ^= 255
    source.set_rate(None)
    until(lambda: scene.published(PLACE), "the pace without a rate")


def test_rate_survives_a_new_surface(scene: Scene) -> None:
    source = scene.source()
    source.set_rate(0.001)
    scene.producer, scene.consumer = surface()
    source.retarget(scene.producer)
    assert source.flush(5)
    assert source.flush(5)  # the first may be answered before the first look
    assert scene.published(PLACE)
    version = scene.producer.version
    scene.drawn[:64] ^= 255
    source.note_input()
    end = time.monotonic() + 0.05  # twice the probes' interval
    until(lambda: time.monotonic() > end)
    assert scene.producer.version == version


def test_rate_of_a_fast_viewer_limits_the_pause(scene: Scene) -> None:
    producer = scene.producer
    producer.set_mode(WIDTH, HEIGHT, source=scene.memory)
    scan = {"until": 0, "budget": 10**9, "stride": STRIDE}
    due, _ = producer.scan_until(scene.memory, **scan)
    assert due > time.monotonic_ns() + 10**9
    due, _ = producer.scan_until(scene.memory, longest=MS, **scan)
    # The pause is no longer than that, or than the scan itself took.
    assert due < time.monotonic_ns() + 10**9
