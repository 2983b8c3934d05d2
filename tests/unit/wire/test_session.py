"""Sessions between a sender and viewers, over good and bad links, and refused ones."""

from __future__ import annotations

import random

import numpy as np
import pytest
from support.wire_scene import Link, Proves, Scene, asks, draw_random, surface

from kju.errors import PeerError
from kju.surface import State
from kju.surface.formats import R8
from kju.surface.geometry import Rect
from kju.wire.greeting import Stage
from kju.wire.messages import (
    Goodbye,
    InputDone,
    MachineEvent,
    SessionWelcome,
    ViewerInput,
)
from kju.wire.receiver_session import ReceiverSession
from kju.wire.sequence import MAX_INPUTS

LINKS = {
    "good": {},
    "lossy": {"lost": 0.2},
    "repeating": {"repeated": 0.3},
    "reordering": {"overtaken": 0.3},
    "far": {"delay": 0.1},
    "awful": {"lost": 0.2, "repeated": 0.2, "overtaken": 0.2, "delay": 0.02},
}


def test_a_session_that_ends_while_its_welcome_is_processed_stays_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread processes the welcome, and the event loop ends the session at that moment."""
    receiver = ReceiverSession(surface())
    receiver.start("view", codecs=["zstd"])
    greeting = receiver._greeting
    assert greeting is not None
    receive_welcome = greeting.receive_welcome

    def end_first(message: SessionWelcome) -> None:
        receiver.goodbye("the viewer has ended")
        receive_welcome(message)

    monkeypatch.setattr(greeting, "receive_welcome", end_first)
    receiver.receive(SessionWelcome(1, 1, "zstd", "view", 32), 1.0)
    assert receiver.stage is Stage.CLOSED
    assert receiver.reason == "the viewer has ended"
    assert isinstance(receiver.to_send()[-1], Goodbye)


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
@pytest.mark.parametrize("name", LINKS)
def test_a_viewer_ends_equal(name: str, sealed: bool) -> None:
    scene, rng = Scene(**{"admit": asks} if sealed else {}), np.random.default_rng(3)
    scene.producer.set_mode(320, 240)
    there, back = Link(**LINKS[name]), Link(**LINKS[name], rng=random.Random(2))
    viewer = scene.view(there, back, **{"prove": Proves()} if sealed else {})
    for _ in range(40):
        draw_random(scene, rng)
        scene.run(float(rng.integers(30)) / 1000)
    scene.settle()
    assert viewer.receiver.stage is Stage.OPEN
    assert viewer.receiver.picture.complete_version == scene.encoder.complete_version
    assert bool(viewer.strange) is (sealed and "repeated" in LINKS[name])


@pytest.mark.parametrize("seed", range(4))
def test_a_scroll_under_a_pointer_is_a_move_and_little_else(seed: int) -> None:
    """The pointer does not move, so the moved area is not the old one."""
    rng = np.random.default_rng(seed)
    scene = Scene(capacity=400 * 300 * 4)
    scene.producer.set_mode(400, 300)
    text = (rng.random((600, 400, 1)) < 0.2).repeat(4, 2) * np.uint8(200)
    pointer = rng.integers(0, 256, (20, 12, 4), np.uint8)
    viewer = scene.view()
    for line in range(0, 80, 16):
        picture = text[line : line + 300].copy()
        picture[150:170, 200:212] = pointer
        sent = viewer.down.bytes
        scene.producer.compare(picture)
        scene.settle()
    assert viewer.down.bytes - sent < 400 * 300 / 8 / 3
    assert scene.encoder.complete_version == viewer.receiver.picture.complete_version


def test_large_tiles_do_not_make_later_segments_small() -> None:
    """The number of tiles is guessed from the last segment, and soon right again."""
    rng = np.random.default_rng(3)
    scene = Scene(capacity=640 * 480 * 4)
    scene.producer.set_mode(640, 480)
    scene.view()
    scene.producer.compare(rng.integers(0, 256, (480, 640, 4), np.uint8))
    scene.settle()
    scene.producer.compare(np.zeros((480, 640, 4), np.uint8))
    scene.settle()
    before = scene.encoder.generation
    scene.producer.compare(np.full((480, 640, 4), 9, np.uint8))
    scene.settle()
    assert scene.encoder.generation - before <= 2


def test_viewers_that_have_caught_up_share_encoded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    scene.producer.set_mode(320, 240)
    for _ in range(5):
        scene.view()
    scene.settle()
    encoded = 0
    encode = scene.encoder._encode

    def counted(*arguments: object) -> object:
        nonlocal encoded
        encoded += 1
        return encode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scene.encoder, "_encode", counted)
    monkeypatch.setattr(scene.encoder, "repair", None)
    rng = np.random.default_rng(1)
    for _ in range(10):
        scene.producer.draw(
            Rect(8, 8, 30, 30), rng.integers(0, 256, (30, 30, 4), np.uint8), stride=120
        )
        scene.settle()
    assert encoded == 10


def test_a_viewer_that_sleeps_costs_nothing_and_wakes_equal() -> None:
    scene, rng = Scene(), np.random.default_rng(4)
    scene.producer.set_mode(320, 240)
    sleeper, other = scene.view(), scene.view()
    scene.settle()
    sleeper.asleep = True
    under_way = []
    for _ in range(300):
        draw_random(scene, rng)
        scene.run(0.01)
        under_way.append(sleeper.sender.outgoing.window.in_flight)
    assert other.shows(scene.producer) or scene.settle() is None
    assert max(under_way) < 300_000
    assert len(sleeper.down.waiting) < 40
    sleeper.asleep = False
    scene.settle(1)
    assert sleeper.shows(scene.producer)


def test_a_viewer_that_wants_everything_again_gets_the_picture_of_now() -> None:
    scene, rng = Scene(), np.random.default_rng(5)
    scene.producer.set_mode(320, 240)
    viewer = scene.view()
    for _ in range(10):
        draw_random(scene, rng)
        scene.settle()
    # As after the loss of more messages than can be listed.
    viewer.receiver.ack_state.wants_restart = viewer.receiver.ack_state.is_ack_due = True
    draw_random(scene, rng)
    scene.settle()
    assert viewer.receiver.stage is Stage.OPEN
    assert not viewer.receiver.ack_state.wants_restart


def test_memory_for_a_stopped_viewer_does_not_grow() -> None:
    scene, rng = Scene(), np.random.default_rng(4)
    scene.producer.set_mode(64, 48)
    sleeper = scene.view()
    scene.settle()
    sleeper.asleep = True
    kept = []
    for second in range(60):
        scene.now += 1
        draw_random(scene, rng)
        sleeper.sender.queue_event(MachineEvent("e"))
        sleeper.turn(scene.now)
        outgoing = sleeper.sender.outgoing
        kept.append((len(outgoing.in_flight), outgoing.window.in_flight))
        if second > 4:
            assert sleeper.sender.to_send(scene.now) == []
    assert kept[10] == kept[-1]
    sleeper.asleep = False
    scene.settle(5)
    assert [type(said) for said in sleeper.said[-1:]] == [MachineEvent]


def test_modes_states_and_cursors_follow() -> None:
    scene = Scene()
    viewer = scene.view(Link(lost=0.3), Link(lost=0.3))
    scene.run(0.1)
    scene.producer.set_mode(320, 240)
    scene.settle()
    scene.producer.set_mode(100, 50, fourcc=R8)
    scene.settle()
    assert viewer.target.mode.fourcc == R8
    scene.producer.set_mode(640, 200)
    shape = np.arange(16 * 16 * 4, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 4)
    scene.producer.set_cursor(shape, 16, 16, 3, 4)
    scene.producer.move_cursor(77, 88, True)
    scene.producer.set_state(State.UNAVAILABLE, "no picture now")
    scene.run(5)
    scene.settle()
    assert viewer.receiver.state == (State.UNAVAILABLE, "no picture now")
    from kju.surface.consumer import Consumer

    seen = Consumer(viewer.target.memory).cursor()  # type: ignore[attr-defined]
    assert (seen.x, seen.y, seen.hot_x, seen.hot_y, seen.visible) == (77, 88, 3, 4, True)
    assert np.array_equal(seen.shape, shape)


def test_a_late_viewer_gets_the_picture_of_now() -> None:
    scene, rng = Scene(), np.random.default_rng(9)
    scene.producer.set_mode(320, 240)
    scene.view()
    for _ in range(20):
        draw_random(scene, rng)
        scene.run(0.01)
    scene.settle()
    late = scene.view()
    scene.settle()
    assert late.shows(scene.producer)


@pytest.mark.parametrize("tile", [8, 64, 256])
def test_tiles_of_any_size(tile: int) -> None:
    scene, rng = Scene(tile=tile), np.random.default_rng(9)
    scene.producer.set_mode(500, 300)
    viewer = scene.view()
    for _ in range(6):
        draw_random(scene, rng)
        scene.settle()
        assert viewer.shows(scene.producer)


def test_a_small_window_gets_the_focus_first() -> None:
    scene = Scene(capacity=8 << 20)
    scene.producer.set_mode(1280, 800)
    viewer = scene.view()
    scene.settle()
    noise = np.random.default_rng(1).integers(0, 256, (800, 1280, 4), np.uint8)
    viewer.sender.set_focus(1205, 705)
    scene.producer.compare(noise)
    viewer.turn(scene.now)
    viewer.turn(scene.now)
    mine = viewer.target.pixels[700:710, 1200:1210, :3]
    assert np.array_equal(mine, noise[700:710, 1200:1210, :3])
    assert not viewer.shows(scene.producer)


# ---- inputs, events, ends ----


def test_inputs_are_done_once_and_marked() -> None:
    scene = Scene()
    scene.producer.set_mode(64, 48)
    viewer = scene.view()
    scene.settle()
    viewer.up.put(ViewerInput(1, b"a key"), scene.now)
    scene.run(0.01)
    assert viewer.inputs == [ViewerInput(1, b"a key")]
    viewer.sender.finish_input(InputDone(1, 2, 3))
    viewer.sender.finish_input(InputDone(1, 2, 3))
    viewer.sender.queue_event(MachineEvent("paused"))
    scene.run(0.01)
    assert viewer.said == [InputDone(1, 2, 3), MachineEvent("paused")]


def test_a_view_client_sends_no_input() -> None:
    scene = Scene()
    viewer = scene.view(role="view")
    scene.run(0.01)
    viewer.up.put(ViewerInput(1, b"a key"), scene.now)
    scene.run(0.01)
    assert viewer.inputs == []
    (done,) = viewer.said
    assert (done.error, done.number) == ("RoleError", 1)


def test_a_repeated_input_is_carried_out_once() -> None:
    scene = Scene()
    viewer = scene.view()
    scene.run(0.01)
    for _ in range(2):
        viewer.up.put(ViewerInput(1, b"a key"), scene.now)
    scene.run(0.01)
    viewer.sender.finish_input(InputDone(1))
    viewer.up.put(ViewerInput(1, b"a key"), scene.now)
    scene.run(0.01)
    assert viewer.inputs == [ViewerInput(1, b"a key")]
    assert viewer.sender.stage is Stage.OPEN


def test_an_early_input_waits_for_its_turn() -> None:
    scene = Scene()
    viewer = scene.view()
    scene.run(0.01)
    for number in (2, 3, 1):
        viewer.up.put(ViewerInput(number, b""), scene.now)
    scene.run(0.01)
    assert [each.number for each in viewer.inputs] == [1, 2, 3]


def test_a_viewer_that_cannot_read_what_is_sent_is_refused() -> None:
    scene = Scene()
    viewer = scene.view(codecs=["raw"])
    scene.run(0.01)
    assert "uses the codec zstd, the viewer supports raw" in viewer.receiver.reason


def test_too_many_inputs_end_the_session() -> None:
    scene = Scene()
    viewer = scene.view()
    scene.run(0.01)
    for number in range(1, MAX_INPUTS + 2):
        viewer.up.put(ViewerInput(number, b""), scene.now)
    with pytest.raises(PeerError, match="inputs"):
        scene.run(0.01)
    viewer.turn(scene.now)
    assert (viewer.receiver.stage, "inputs" in viewer.receiver.reason) == (Stage.CLOSED, True)


def test_the_last_of_too_many_events_are_sent() -> None:
    scene = Scene()
    viewer = scene.view()
    scene.run(0.01)
    for number in range(1000):
        viewer.sender.queue_event(MachineEvent("e", b"%d" % number))
    scene.run(0.01)
    assert [event.data for event in viewer.said][-1] == b"999"
    assert len(viewer.said) < 100
