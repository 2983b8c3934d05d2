"""Publishing screenshots: when they are taken, and which are published."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError

import numpy as np
import pytest
from support.wait import until

from kju.errors import QemuError
from kju.sources import screendump
from kju.sources.base import Need, Phase, SourceStatus, room_for
from kju.sources.screendump import REST, ScreendumpSource, Screenshot
from kju.surface import NOTHING_TAKEN, State, surface_size
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer

SIZE = 1 << 20


def picture(width: int, height: int, seed: int = 1) -> Screenshot:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def finish(future: Future[Screenshot | None], result: Screenshot | None) -> None:
    with contextlib.suppress(InvalidStateError):  # cancelled by the end of the source
        future.set_result(result)


class Scene:
    """An emulator that takes screenshots, and the surface for them."""

    def __init__(self) -> None:
        self.shown: Screenshot | None = picture(321, 200)
        self.passing: list[Screenshot] = []
        self.error: Exception | None = None
        self.hangs = False
        self.takes = 0.0
        self.asked: list[float] = []
        self.given: list[Future[Screenshot | None]] = []
        self.statuses: list[SourceStatus] = []
        self.producer, self.consumer = surface(SIZE)
        self.source = ScreendumpSource(self.take, self.producer, self.statuses.append)

    def take(self) -> Future[Screenshot | None]:
        self.asked.append(time.monotonic())
        future: Future[Screenshot | None] = Future()
        self.given.append(future)
        if self.error is not None:
            future.set_exception(self.error)
        elif not self.hangs:
            now = self.passing.pop(0) if self.passing else self.shown
            result = None if now is None else now.copy()
            if self.takes:
                threading.Timer(self.takes, finish, (future, result)).start()
            else:
                future.set_result(result)
        return future

    def rests(self, after: float) -> None:
        """Wait for a screenshot that is taken this long after the picture was published."""
        # The second screenshot is taken after the first was published.
        until(lambda: len(self.asked) > 2 and self.asked[-1] > self.asked[1] + after, "rest")

    def published(self, wanted: Screenshot) -> bool:
        pixels = self.source.producer.pixels
        return pixels.shape[:2] == wanted.shape[:2] and np.array_equal(pixels[..., 2::-1], wanted)

    def start(self, *, paused: bool = False) -> None:
        self.source.start(paused=paused)
        assert self.shown is not None
        # It is published first and reported then.
        until(lambda: self.published(self.shown) and self.statuses, "the first picture")


def surface(capacity: int) -> tuple[Producer, Consumer]:
    memory = np.zeros(surface_size(capacity), np.uint8)
    return Producer.format(memory.data, capacity, incarnation=7), Consumer(memory.data)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.source.stop()
    assert not [t for t in threading.enumerate() if t.name == "kju-screendump"]


def test_differences_between_screenshots_are_published(scene: Scene) -> None:
    assert scene.source.size is None
    scene.start()
    assert scene.source.size == (321, 200)
    assert scene.consumer.state[0] is State.LIVE
    mark = scene.consumer.changes(NOTHING_TAKEN).mark
    scene.shown[40, 70] ^= 255
    until(lambda: scene.consumer.changes(mark).rects, "the change")
    (rect,) = scene.consumer.changes(mark).rects
    assert (rect.width, rect.height) == (32, 32)
    assert rect.x <= 70 < rect.right and rect.y <= 40 < rect.bottom
    assert scene.published(scene.shown)


def test_unreadable_screenshot_changes_nothing(scene: Scene) -> None:
    scene.start()
    before, count = scene.shown, len(scene.asked)
    scene.shown = None
    until(lambda: len(scene.asked) > count + 2, "some screenshots are requested")
    assert scene.published(before)
    assert scene.source.status.phase is Phase.RUNNING


def test_size_of_a_single_screenshot_is_not_published(scene: Scene) -> None:
    scene.start()
    epoch = scene.producer.mode.epoch
    scene.passing = [picture(64, 48)]
    until(lambda: not scene.passing, "the passing size has ended")
    assert scene.source.flush(5)
    assert scene.producer.mode.epoch == epoch
    scene.shown = picture(64, 48, 3)
    until(lambda: scene.published(scene.shown), "a lasting size is published")
    assert scene.producer.mode.epoch == epoch + 1


def test_flush_publishes_a_screenshot_begun_after_the_call(scene: Scene) -> None:
    scene.start()
    for seed in range(2, 7):
        scene.shown = picture(321, 200, seed)
        assert scene.source.flush(5)
        assert scene.published(scene.shown)


def test_screenshots_are_rare_at_rest_and_frequent_after_an_input(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.start()
    scene.rests(screendump.BRISK_FOR)
    count, began = len(scene.asked), time.monotonic()
    until(lambda: len(scene.asked) >= count + 4, "four at rest")
    assert time.monotonic() - began >= 3 * REST
    # An interval at rest would now last an hour.
    monkeypatch.setattr(screendump, "REST", 3600.0)
    monkeypatch.setattr(screendump, "BRISK_FOR", 3600.0)
    scene.source.note_input()
    count = len(scene.asked)
    until(lambda: len(scene.asked) >= count + 8, "eight after an input")


def test_screenshots_become_rarer_while_nothing_changes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screendump, "STILL_AFTER", 0.5)
    scene.start()
    scene.rests(screendump.STILL_AFTER)
    count, began = len(scene.asked), time.monotonic()
    until(lambda: len(scene.asked) >= count + 3, "three of a still screen")
    assert time.monotonic() - began >= 2 * screendump.STILL
    monkeypatch.setattr(screendump, "STILL", 3600.0)
    scene.source.note_input()
    until(lambda: time.monotonic() - scene.asked[-1] > 1.5, "the interval of a still screen")
    scene.shown[0, 0] ^= 255
    scene.source.note_input()
    until(lambda: scene.published(scene.shown), "the screenshot after an input")


def test_pause_between_screenshots_grows_with_their_duration(scene: Scene) -> None:
    took = scene.takes = 0.03
    scene.start()
    scene.source.note_input()
    until(lambda: len(scene.asked) > 6, "some screenshots")
    gaps = np.diff(scene.asked[1:])
    assert gaps.min() >= 3 * took
    assert np.median(gaps) >= 0.9 * 10 * took


def test_stop_does_not_wait_for_a_screenshot(scene: Scene) -> None:
    scene.start()
    scene.hangs = True
    count = len(scene.asked)
    until(lambda: len(scene.asked) > count, "one is being taken")
    scene.source.stop()  # this screenshot never ends by itself
    assert scene.given[-1].cancelled()
    assert scene.statuses[-1].phase is Phase.ENDED
    assert not scene.statuses[-1].reason
    assert not scene.source.flush(1)


def test_failed_screenshot_ends_the_source(scene: Scene) -> None:
    scene.start()
    scene.error = QemuError("no room for a screenshot")
    until(lambda: scene.statuses[-1].phase is Phase.ENDED, "the end")
    assert scene.statuses[-1].reason == "no room for a screenshot"
    assert scene.published(scene.shown)


def test_source_requests_a_larger_surface_and_fills_it(scene: Scene) -> None:
    scene.start()
    scene.shown = picture(800, 600)
    until(lambda: any(s.need is Need.LARGER for s in scene.statuses), "the need")
    assert scene.statuses[-1].needed == room_for(800, 600)
    larger, seen = surface(room_for(800, 600))
    scene.source.retarget(larger)
    until(lambda: scene.published(scene.shown), "the large picture")
    assert seen.state[0] is State.LIVE
    until(lambda: scene.statuses[-1].need is Need.NOTHING, "no need any more")


def test_pause_changes_the_state(scene: Scene) -> None:
    scene.start(paused=True)
    until(lambda: scene.consumer.state[0] is State.PAUSED, "paused from the start")
    scene.source.set_paused(False)
    until(lambda: scene.consumer.state[0] is State.LIVE, "live again")


def test_screenshots_are_no_more_frequent_than_the_looks(scene: Scene) -> None:
    scene.source.set_rate(30.0)
    scene.start()
    shown = itertools.cycle((picture(321, 200, 3), picture(321, 200, 4)))

    def draw() -> bool:
        scene.shown = next(shown)
        scene.source.note_input()
        return len(scene.asked) >= 6

    until(draw, what="six screenshots")
    assert scene.asked[5] - scene.asked[0] >= 5 / 30 - 0.001
    until(lambda: scene.published(scene.shown), "the next look")


def test_higher_rate_takes_a_screenshot_at_once(scene: Scene) -> None:
    scene.source.set_rate(0.001)
    scene.start()
    scene.shown = picture(321, 200, 9)
    scene.source.set_rate(None)
    until(lambda: scene.published(scene.shown), "a screenshot")
