"""Updates of a viewer that looks rarely: how often, with what, and at once after a loss."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from support.wire_scene import Link, Scene, Viewer

from kju.errors import PeerError
from kju.surface import State
from kju.wire import messages
from kju.wire.messages import ModeUpdate, RateDone, Segment, StateUpdate, ViewerRate
from kju.wire.update_pace import ANSWER_TIME, FIRST_LOOK_RATE, UpdatePace


class Recorder(Link):
    """A link that notes the times of segments."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.segments: list[float] = []

    @property
    def updates(self) -> int:
        """The number of bursts of segments."""
        return len([gap for gap in np.diff(self.segments) if gap > 0.1]) + bool(self.segments)

    def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
        if isinstance(message, Segment):
            self.segments.append(now)
        super().put(message, now, data)


def draw(scene: Scene, rng: np.random.Generator, at: tuple[int, int] = (20, 30)) -> None:
    """Draw a small rectangle."""
    pixels = scene.producer.pixels.copy()
    y, x = at
    pixels[y : y + 40, x : x + 40] = rng.integers(0, 256, (40, 40, 4))
    scene.producer.compare(np.ascontiguousarray(pixels))


def animate(scene: Scene, seconds: float, rng: np.random.Generator) -> None:
    """Draw 50 times a second."""
    for _ in range(round(seconds * 50)):
        draw(scene, rng)
        scene.run(0.02)


def begin(scene: Scene, rate: float | None, down: Link | None = None) -> tuple[Viewer, Recorder]:
    scene.producer.set_mode(320, 200)
    link = down or Recorder()
    assert isinstance(link, Recorder)
    viewer = scene.view(link, rate=rate)
    scene.settle()
    scene.run(0.1)
    return viewer, link


@pytest.mark.parametrize(("rate", "most"), [(2.0, 7), (4.0, 13), (0.2, 2), (0.0, 0)])
def test_updates_follow_the_rate_and_have_the_newest_picture(rate: float, most: int) -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    viewer, link = begin(scene, rate)
    before, link.segments = link.bytes, []
    animate(scene, 3, rng)
    assert most - 1 <= link.updates <= most
    if rate:
        scene.run(1 / rate)
        assert viewer.shows(scene.producer)  # all that has changed, not all that was drawn
    paced = link.bytes - before
    fast_scene = Scene()
    _, fast = begin(fast_scene, None)
    before = fast.bytes
    animate(fast_scene, 3, np.random.default_rng(1))
    assert paced * 2 < fast.bytes - before


def test_a_change_after_a_pause_is_sent_at_once() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    viewer, _ = begin(scene, 2.0)
    scene.run(1.0)
    draw(scene, rng)
    scene.run(0.01)
    assert viewer.shows(scene.producer)


def test_nothing_is_kept_between_updates() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    viewer, link = begin(scene, 0.2)
    animate(scene, 4, rng)
    assert not viewer.sender.outgoing.in_flight
    assert not link.waiting


def test_states_do_not_wait_for_the_next_update() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    viewer, _ = begin(scene, 0.2)
    draw(scene, rng)
    scene.run(0.1)
    scene.producer.set_state(State.PAUSED, "by hand")
    scene.run(0.01)
    assert viewer.receiver.state == (State.PAUSED, "by hand")


def test_a_lost_update_is_repaired_before_the_next_one() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    link = Recorder(lost=0.3)
    viewer, _ = begin(scene, 0.2, link)
    for _ in range(3):
        draw(scene, rng)
        scene.run(5.5)  # a loss of a last message is noticed by a timeout
        link.lost = 0.0
        scene.run(1.0)
        assert viewer.shows(scene.producer)
        link.lost = 0.3


def test_a_screen_that_always_changes_does_not_make_an_update_endless() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    viewer, link = begin(scene, 2.0)
    link.delay = viewer.up.delay = 0.04  # an update takes longer than a drawing
    link.segments = []
    for _ in range(150):
        pixels = scene.producer.pixels.copy()
        pixels[:64, :64] = rng.integers(0, 256, (64, 64, 4))
        scene.producer.compare(pixels)
        scene.run(0.02)
    assert 5 <= link.updates <= 7
    assert len(link.segments) > 2 * link.updates


def test_a_new_rate_is_confirmed_with_a_picture_of_now() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    viewer, link = begin(scene, 0.0)
    draw(scene, rng)
    scene.run(2.0)
    assert not viewer.shows(scene.producer)
    viewer.up.put(ViewerRate(1, 2.0), scene.now)
    scene.run(0.01)
    viewer.sender.confirm_rate()
    scene.run(0.01)
    assert viewer.shows(scene.producer)
    assert viewer.said == [RateDone(1, scene.producer.version)]
    assert viewer.receiver.picture.complete_version == scene.producer.version
    link.segments = []
    viewer.up.put(ViewerRate(2, 0.0), scene.now)
    scene.run(0.01)
    animate(scene, 1, rng)
    assert not link.segments


def test_an_unchanged_screen_confirms_a_rate_too() -> None:
    scene = Scene()
    viewer, _ = begin(scene, 2.0)
    scene.producer.publish([(0, 0, 32, 32)])  # the same pixels
    scene.run(2.0)
    viewer.up.put(ViewerRate(1, None), scene.now)
    scene.run(0.01)
    viewer.sender.confirm_rate()
    scene.run(0.01)
    assert viewer.receiver.picture.complete_version == scene.producer.version


def test_an_older_change_does_not_follow_a_newer_one() -> None:
    scene = Scene()
    viewer, _ = begin(scene, 2.0)
    viewer.sender.receive(ViewerRate(2, 4.0), scene.now)
    viewer.sender.receive(ViewerRate(1, 60.0), scene.now)
    assert viewer.sender.pace.rate == 4.0


def test_a_slow_viewer_beside_a_fast_one_catches_up() -> None:
    scene, rng = Scene(), np.random.default_rng(1)
    slow, link = begin(scene, 2.0)
    fast = scene.view()
    scene.settle()
    link.segments = []
    animate(scene, 2, rng)
    assert link.updates <= 5
    scene.run(0.6)
    assert slow.shows(scene.producer)
    assert fast.shows(scene.producer)


def test_a_viewer_that_does_not_look_gets_its_first_picture() -> None:
    pace = UpdatePace()
    pace.rate = 0.0
    assert pace.allows(0.0)
    assert pace.look_rate == FIRST_LOOK_RATE
    pace.record(ModeUpdate(1, 1, 8, 8), 1, 0.0)
    pace.record(None, 1, 0.0)  # no pixels yet
    assert pace.allows(0.1)
    pace.record(Segment(2, 0, 1, 1, 1, 0, b""), 1, 0.1)
    assert not pace.allows(100.0)
    assert pace.look_rate == 0.0


def test_the_smallest_rate_has_a_time() -> None:
    pace = UpdatePace()
    pace.rate = 5e-324
    pace.record(Segment(1, 0, 1, 1, 1, 0, b""), 1, 0.0)
    pace.record(Segment(2, 0, 1, 2, 2, 0, b""), 2, 0.0)
    assert pace.due is not None
    assert math.isfinite(pace.due)


@pytest.mark.parametrize("rate", [math.nan, math.inf, 1e9, -1.0])
def test_rates_out_of_range_break_the_protocol(rate: float) -> None:
    changed = msgspec.msgpack.encode([6, 1, rate])
    hello = msgspec.msgpack.encode([1, 1, "view", [], 1, "", b"", False, False, "", rate])
    for data in (changed, hello):
        with pytest.raises(PeerError):
            messages.decode_from_viewer(data)


def test_a_sender_from_before_rates_does_not_accept_changes() -> None:
    welcome = msgspec.msgpack.encode([17, 1, 7, "zstd", "view"])
    old = messages.decode_from_sender(welcome)
    assert isinstance(old, messages.SessionWelcome)
    assert not old.rates
    state = msgspec.msgpack.encode([22, 1, 1])
    assert isinstance(messages.decode_from_sender(state), StateUpdate)


def test_changes_after_an_input_do_not_wait_for_the_next_update() -> None:
    pace = UpdatePace()
    pace.rate = 1.0
    picture = Segment(1, 1, 1, 5, 5, 0, b"")
    pace.record(picture, 5, 1.0)  # the first one
    pace.record(picture, 5, 10.0)
    assert not pace.allows(10.2)
    pace.hasten(10.2)
    assert pace.allows(10.25)
    pace.record(picture, 5, 10.25)
    assert pace.allows(10.29)
    assert not pace.allows(10.2 + ANSWER_TIME)


def test_an_input_brings_no_pixels_to_a_viewer_that_does_not_look() -> None:
    pace = UpdatePace()
    pace.rate = 0.0
    pace.record(Segment(1, 1, 1, 5, 5, 0, b""), 5, 1.0)
    pace.hasten(2.0)
    assert not pace.allows(2.01)
