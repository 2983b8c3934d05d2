"""Sessions between a sender and viewers, over good and bad links."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from support.wire_scene import (
    Link,
    Proves,
    Scene,
    Viewer,
    asks,
    draw_randomly,
    draw_square,
    surface,
)

from kju.surface import State
from kju.surface.formats import R8
from kju.surface.geometry import Rect
from kju.wire import messages
from kju.wire.greeting import Stage
from kju.wire.in_flight import MAX_RETRANSMISSIONS
from kju.wire.messages import (
    Ack,
    Goodbye,
    MachineEvent,
    Ping,
    SessionWelcome,
)
from kju.wire.receiver_session import ReceiverSession

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
        draw_randomly(scene, rng)
        scene.run(float(rng.integers(30)) / 1000)
    scene.settle()
    assert viewer.receiver.stage is Stage.OPEN
    assert viewer.receiver.picture.complete_version == scene.encoder.complete_version
    assert bool(viewer.strange) is (sealed and "repeated" in LINKS[name])


@pytest.mark.parametrize("seed", range(4))
def test_a_scroll_under_a_pointer_is_a_move_and_little_else(seed: int) -> None:
    """The pointer stands still, so that what has moved is not what was there before."""
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
    """The size of a segment follows the last one, and recovers soon."""
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


def test_stopped_viewer_costs_nothing_and_ends_equal() -> None:
    scene, rng = Scene(), np.random.default_rng(4)
    scene.producer.set_mode(320, 240)
    sleeper, other = scene.view(), scene.view()
    scene.settle()
    sleeper.asleep = True
    under_way = []
    for _ in range(300):
        draw_randomly(scene, rng)
        scene.run(0.01)
        under_way.append(sleeper.sender.outgoing.window.in_flight)
    assert other.shows(scene.producer) or scene.settle() is None
    assert max(under_way) < 300_000
    assert len(sleeper.down.waiting) < 40
    sleeper.asleep = False
    scene.settle(1)
    assert sleeper.shows(scene.producer)


def test_viewer_that_restarts_gets_the_current_picture() -> None:
    scene, rng = Scene(), np.random.default_rng(5)
    scene.producer.set_mode(320, 240)
    viewer = scene.view()
    for _ in range(10):
        draw_randomly(scene, rng)
        scene.settle()
    # As after losses that exceed the list.
    viewer.receiver.losses.wants_restart = viewer.receiver.losses.is_ack_due = True
    draw_randomly(scene, rng)
    scene.settle()
    assert viewer.receiver.stage is Stage.OPEN
    assert not viewer.receiver.losses.wants_restart


def test_memory_for_a_stopped_viewer_does_not_grow() -> None:
    scene, rng = Scene(), np.random.default_rng(4)
    scene.producer.set_mode(64, 48)
    sleeper = scene.view()
    scene.settle()
    sleeper.asleep = True
    kept = []
    for second in range(60):
        scene.now += 1
        draw_randomly(scene, rng)
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


# ---- the last message is lost ----


@dataclass
class Losing(Link):
    """A link that loses a given number of messages, and records all."""

    loses: int = 0
    given: list[messages.WireMessage] = field(default_factory=list)

    def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
        if isinstance(message, messages.Numbered | Ack):
            self.given.append(message)
            if self.loses:
                self.loses -= 1
                return
        super().put(message, now, data)


def far(delay: float = 0.05) -> tuple[Scene, Viewer, Losing, Losing]:
    """A screen whose viewer is far, after enough drawings for its round trip to be known."""
    scene, down, up = Scene(), Losing(delay=delay), Losing(delay=delay)
    scene.producer.set_mode(320, 240)
    viewer = scene.view(down, up)
    scene.settle()
    for number in range(20):
        draw_square(scene, number)
        scene.settle()
        scene.run(2 * delay)
    return scene, viewer, down, up


def shown_after(scene: Scene, viewer: Viewer) -> float:
    """Return the seconds until the viewer shows the screen."""
    began = scene.now
    while not viewer.shows(scene.producer):
        scene.run(0.001)
        assert scene.now < began + 10
    return scene.now - began


def test_a_lost_last_segment_is_retransmitted_soon() -> None:
    scene, viewer, down, _ = far()
    down.loses = 1
    draw_square(scene, 100)
    late = shown_after(scene, viewer)
    # One way, and a round trip and a quarter before that for its acknowledgement.
    assert 0.1 < late < 0.05 + 0.1 * 1.25 + 0.02
    scene.run(1)
    # After a recent loss there is no such wait.
    down.loses = 1
    draw_square(scene, 101)
    assert shown_after(scene, viewer) < 0.05 + 0.02


def test_a_segment_independent_of_a_loss_is_drawn_at_once() -> None:
    scene, viewer, down, _ = far()
    scene.producer.set_state(State.PAUSED, "")
    down.loses = 1
    scene.run(0.01)
    draw_square(scene, 100)
    assert shown_after(scene, viewer) < 0.05 + 0.02
    scene.run(1)
    assert viewer.receiver.state is not None
    assert viewer.receiver.state[0] == State.PAUSED


def test_a_lost_last_long_segment_is_followed_by_a_ping() -> None:
    scene, viewer, down, _ = far()
    down.loses = 1
    draw_square(scene, 100, side=32)
    # The question, its answer, and what is sent then.
    assert shown_after(scene, viewer) < 0.15 + 0.1 * 1.25 + 0.02
    assert isinstance(down.given[-2], Ping)


def test_lost_last_acknowledgement_is_repeated() -> None:
    scene, viewer, down, up = far()
    up.loses = 1
    draw_square(scene, 100)
    scene.run(0.5)
    assert viewer.sender.outgoing.window.in_flight == 0
    given = len(down.given)
    scene.run(0.4)
    assert len(down.given) == given


@pytest.mark.parametrize("before", [0.05, 0.3])
def test_a_longer_link_gets_a_longer_timeout(before: float) -> None:
    scene, viewer, down, up = far(before)
    down.delay = up.delay = 0.3
    for number in range(100, 130):
        draw_square(scene, number)
        scene.run(1)
    assert 0.6 < viewer.sender.outgoing.window.timeout < 1
    scene.run(60)  # what was late is forgotten
    given = len(down.given)
    for number in range(200, 205):
        draw_square(scene, number)
        scene.run(0.9)
    assert len(down.given) - given == 5


def test_stopped_viewer_is_rarely_pinged() -> None:
    scene, viewer, down, _ = far()
    viewer.asleep = True
    draw_square(scene, 100)
    given = len(down.given)
    scene.run(20)
    # The segment and a question, as often as they may be, and that one each second.
    assert len(down.given) - given <= 2 * (1 + MAX_RETRANSMISSIONS) + 20


def test_full_link_carries_no_pings() -> None:
    class Full(Losing):
        """Of 125,000 bytes a second."""

        free = 0.0

        def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
            self.free = max(self.free, now) + len(messages.encode(message)) / 125_000
            self.delay = self.free - now + 0.01
            super().put(message, now, data)

    scene, down = Scene(), Full()
    scene.producer.set_mode(320, 240)
    scene.view(down, Losing(delay=0.01))
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene.producer.draw(
            Rect(0, 0, 320, 240), rng.integers(0, 256, (240, 320, 4), np.uint8), stride=1280
        )
        scene.run(0.03)
    given = down.given
    again = len(given) - len({message.serial for message in given})  # type: ignore[union-attr]
    asked = sum(isinstance(message, Ping) for message in given)
    assert len(given) > 100
    assert again + asked < len(given) / 20
    assert sum(len(messages.encode(message)) for message in given) > 0.8 * 125_000 * 9


def test_modes_states_and_cursors_reach_the_viewer() -> None:
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


def test_late_viewer_gets_the_current_picture() -> None:
    scene, rng = Scene(), np.random.default_rng(9)
    scene.producer.set_mode(320, 240)
    scene.view()
    for _ in range(20):
        draw_randomly(scene, rng)
        scene.run(0.01)
    scene.settle()
    late = scene.view()
    scene.settle()
    assert late.shows(scene.producer)


@pytest.mark.parametrize("tile", [8, 64, 256])
def test_tiles_of_any_size(tile: int) -> None:
    scene, rng = Scene(tile=tile), np.random.default_rng(9)
    scene.producer.set_mode(500, 300)
    scene.view()
    for _ in range(6):
        draw_randomly(scene, rng)
        scene.settle()


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
