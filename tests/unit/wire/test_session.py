"""Sessions between a sender and viewers, over good and bad links, and refused ones."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from support.wire_scene import Link, Proves, Scene, Viewer, asks, surface

from kju.errors import KjuError, PeerError
from kju.surface import State
from kju.surface.formats import R8, XR24
from kju.surface.geometry import Rect
from kju.wire import codecs, messages
from kju.wire.codecs import jpeg
from kju.wire.greeting import Admission, Stage
from kju.wire.in_flight import MAX_RETRANSMISSIONS
from kju.wire.messages import (
    Ack,
    Challenge,
    Goodbye,
    InputDone,
    KeepAlive,
    MachineEvent,
    ModeUpdate,
    Ping,
    Proof,
    SessionHello,
    SessionWelcome,
    ViewerInput,
)
from kju.wire.receiver_session import MAX_EARLY, ReceiverSession
from kju.wire.seal import GroupSeal, KeyExchange
from kju.wire.sequence import MAX_INPUTS


def draw(scene: Scene, rng: np.random.Generator) -> None:
    """Draw something on the screen."""
    mode = scene.producer.mode
    pixels = scene.producer.pixels.copy()
    what = rng.integers(4)
    x, y = int(rng.integers(mode.width - 8)), int(rng.integers(mode.height - 8))
    if what == 0:
        pixels[y : y + 60, x : x + 90] = rng.integers(0, 256, pixels.shape[2:] or None)
    elif what == 1:
        pixels[y : y + 8, x : x + 8] = rng.integers(0, 256, pixels[y : y + 8, x : x + 8].shape)
    elif what == 2:
        pixels[:-16] = pixels[16:]
    else:
        pixels[...] = rng.integers(0, 256, pixels.shape)
    scene.producer.compare(np.ascontiguousarray(pixels))


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
        draw(scene, rng)
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
        draw(scene, rng)
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
        draw(scene, rng)
        scene.settle()
    # As after the loss of more messages than can be listed.
    viewer.receiver.ack_state.wants_restart = viewer.receiver.ack_state.is_ack_due = True
    draw(scene, rng)
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
        draw(scene, rng)
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
    """A link that loses a number of messages, and remembers all of them."""

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
    """Return a scene with a distant viewer whose round trip is known."""
    scene, down, up = Scene(), Losing(delay=delay), Losing(delay=delay)
    scene.producer.set_mode(320, 240)
    viewer = scene.view(down, up)
    scene.settle()
    for number in range(20):
        square(scene, number)
        scene.settle()
        scene.run(2 * delay)
    return scene, viewer, down, up


def square(scene: Scene, number: int, side: int = 8) -> None:
    noise = np.random.default_rng(number).integers(0, 256, (side, side, 4), np.uint8)
    scene.producer.draw(Rect(8, 8, side, side), noise, stride=4 * side)


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
    square(scene, 100)
    late = shown_after(scene, viewer)
    # One way, and a round trip and a quarter before that for its acknowledgement.
    assert 0.1 < late < 0.05 + 0.1 * 1.25 + 0.02
    scene.run(1)
    # Where something was lost just now, nobody waits for that.
    down.loses = 1
    square(scene, 101)
    assert shown_after(scene, viewer) < 0.05 + 0.02


def test_a_segment_independent_of_a_loss_is_drawn_at_once() -> None:
    scene, viewer, down, _ = far()
    scene.producer.set_state(State.PAUSED, "")
    down.loses = 1
    scene.run(0.01)
    square(scene, 100)
    assert shown_after(scene, viewer) < 0.05 + 0.02
    scene.run(1)
    assert viewer.receiver.state is not None
    assert viewer.receiver.state[0] == State.PAUSED


def test_a_lost_last_long_segment_is_followed_by_a_ping() -> None:
    scene, viewer, down, _ = far()
    down.loses = 1
    square(scene, 100, side=32)
    # The question, its answer, and what is sent then.
    assert shown_after(scene, viewer) < 0.15 + 0.1 * 1.25 + 0.02
    assert isinstance(down.given[-2], Ping)


def test_an_acknowledgement_that_is_lost_last_is_had_again() -> None:
    scene, viewer, down, up = far()
    up.loses = 1
    square(scene, 100)
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
        square(scene, number)
        scene.run(1)
    assert 0.6 < viewer.sender.outgoing.window.timeout < 1
    scene.run(60)  # what was late is forgotten
    given = len(down.given)
    for number in range(200, 205):
        square(scene, number)
        scene.run(0.9)
    assert len(down.given) - given == 5


def test_a_viewer_that_has_stopped_is_not_asked_often() -> None:
    scene, viewer, down, _ = far()
    viewer.asleep = True
    square(scene, 100)
    given = len(down.given)
    scene.run(20)
    # The segment and a question, as often as they may be, and that one each second.
    assert len(down.given) - given <= 2 * (1 + MAX_RETRANSMISSIONS) + 20


def test_a_link_that_is_full_carries_no_questions() -> None:
    class Full(Losing):
        """A link of 125,000 bytes a second."""

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
        draw(scene, rng)
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
        draw(scene, rng)
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


@pytest.mark.parametrize("proof", [b"right", b"wrong"])
def test_a_challenge_is_answered(proof: bytes) -> None:
    def admit(hello: SessionHello, raw: bytes) -> Admission:
        if hello.user != "ann":
            raise KjuError(f"there is no user {hello.user!r} here")
        return asks(hello, raw)._replace(role="view")

    scene = Scene(admit=admit)
    scene.producer.set_mode(64, 48)
    viewer = scene.view(user="ann", prove=Proves(proof))
    stranger = scene.view(user="bob")
    mute = scene.view(user="ann")
    scene.run(0.1)
    assert "invalid public key" in mute.receiver.reason
    assert "no user 'bob'" in stranger.receiver.reason
    if proof == b"right":
        assert viewer.receiver.welcome is not None
        assert viewer.receiver.welcome.role == viewer.sender.role == "view"
    else:
        assert (viewer.receiver.stage, viewer.sender.stage) == (Stage.CLOSED, Stage.CLOSED)
        assert "'ann' is wrong" in viewer.receiver.reason


def test_a_viewer_that_proves_itself_wants_a_sender_that_does() -> None:
    """An attacker between them could answer, and admit any viewer."""
    scene = Scene()
    viewer = scene.view(prove=Proves())
    scene.run(0.01)
    assert viewer.receiver.stage is Stage.GREETED
    assert "is not authenticated" in viewer.receiver.hint


NOBODYS = [
    messages.SessionRefused("go away"), Goodbye("bye"), Challenge(b"x"), Challenge(bytes(32), b"y"),
    messages.SessionWelcome(1, 7, "zstd", "view"), InputDone(1), MachineEvent("e"), messages.Lead(),
    messages.Ticket(bytes(74)), Ping(7), ModeUpdate(1, 1, 64, 48),
]  # fmt: skip


@pytest.mark.parametrize("lie", NOBODYS, ids=lambda m: type(m).__name__)
def test_forged_messages_before_the_proof_do_not_end_the_session(lie: messages.FromSender) -> None:
    """Before messages are sealed, a router can send any message in the sender's name."""
    scene = Scene(admit=asks)
    scene.producer.set_mode(64, 48)
    viewer = scene.view(prove=Proves())
    for data in (messages.encode(lie), b"\xc1", b""):
        with contextlib.suppress(PeerError):
            viewer.receiver.receive(viewer.receiver.decode(data), 0.0)
    scene.settle()
    assert viewer.receiver.stage is Stage.OPEN


def test_a_challenge_without_a_certificate_is_an_error() -> None:
    viewer = Scene().view()
    with pytest.raises(PeerError, match="authenticates viewers"):
        viewer.receiver.receive(CHALLENGE, 0.0)


@pytest.mark.parametrize(
    "what", [Goodbye("bye"), ViewerInput(1, b"a key"), Ack(0), SessionHello(1, "view", [], 1)]
)
def test_unsealed_and_replayed_messages_are_dropped_in_a_sealed_session(
    what: messages.WireMessage,
) -> None:
    scene = Scene(admit=asks)
    scene.producer.set_mode(64, 48)
    viewer = scene.view(prove=Proves())
    scene.settle()
    sealed = viewer.receiver.encode(Ack(0))
    viewer.up.put(what, scene.now)
    viewer.up.put(Ack(0), scene.now, sealed)
    viewer.up.put(Ack(0), scene.now, sealed)  # what was heard, said again
    viewer.down.put(Goodbye("bye"), scene.now)
    viewer.down.put(ModeUpdate(10, 10, 8, 8), scene.now, viewer.sender.seal.close(b"")[:-1])
    scene.run(0.01)
    assert viewer.strange == 4
    assert viewer.inputs == []
    assert (viewer.sender.stage, viewer.receiver.stage) == (Stage.OPEN, Stage.OPEN)


@pytest.mark.parametrize("size", [(320, 240), (160, 120)])
@pytest.mark.parametrize("fourcc", [XR24, R8])
def test_the_earlier_picture_is_kept_until_the_new_one_is_whole(
    size: tuple[int, int], fourcc: int
) -> None:
    rng = np.random.default_rng(5)
    old = Scene()
    old.producer.set_mode(320, 240, fourcc=XR24)
    draw(old, rng)
    first = old.view()
    old.settle()
    before, version = first.target.pixels.copy(), first.target.version
    scene = Scene()
    scene.producer.set_mode(*size, fourcc=fourcc)
    scene.producer.compare(rng.integers(0, 256, scene.producer.pixels.shape, np.uint8))
    again = scene.view(Link(delay=0.05), target=first.target, keep=True)
    same = (size, fourcc) == ((320, 240), XR24)
    for _ in range(3000):
        scene.run(0.001)
        if again.receiver.picture.complete_version:
            break
        if same:
            assert np.array_equal(again.target.pixels, before)
            assert again.target.version == version
    assert again.shows(scene.producer)
    draw(scene, rng)
    scene.settle()
    assert (again.target.mode.epoch == 1) is same


def test_another_protocol_is_refused() -> None:
    scene = Scene()
    viewer = scene.view()
    viewer.receiver.to_send()
    viewer.up.put(SessionHello(9, "view", ["zstd"], 1000), scene.now)
    scene.run(0.01)
    assert "protocol 1, the viewer 9" in viewer.receiver.reason


def test_messages_that_overtake_the_welcome_are_used_after_it() -> None:
    class LateWelcome(Link):
        def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
            super().put(message, now + 0.05 * isinstance(message, messages.SessionWelcome), data)

    scene = Scene()
    scene.producer.set_mode(320, 240)
    square(scene, 1)
    viewer = scene.view(LateWelcome())
    scene.run(0.06)
    assert viewer.shows(scene.producer)
    assert scene.now < 0.1


@pytest.mark.parametrize(("role", "asks_for"), [("view", True), ("view", False), ("control", True)])
def test_only_members_get_the_ticket_of_an_audience(role: str, asks_for: bool) -> None:
    scene = Scene(admit=asks)
    joined = []
    viewer = scene.view(prove=Proves(), role=role, audience=asks_for)
    viewer.sender._join = lambda sealed: joined.append(sealed) or ("all", GroupSeal().ticket)  # type: ignore[func-returns-value]
    scene.run(0.01)
    assert viewer.receiver.welcome is not None
    assert bool(viewer.receiver.welcome.ticket) is (role == "view" and asks_for) is bool(joined)


def test_an_invalid_message_ends_the_session_only_if_the_peer_sealed_it() -> None:
    scene = Scene(admit=asks)
    viewer = scene.view(prove=Proves())
    scene.settle()
    viewer.up.put(Ack(0), scene.now, b"\x91\x7f")
    scene.run(0.01)
    assert viewer.sender.stage is Stage.OPEN
    viewer.up.put(Ack(0), scene.now, viewer.receiver.seal.close(b"\x91\x7f"))
    scene.run(0.01)
    assert viewer.sender.stage is Stage.CLOSED
    assert "broke the protocol" in viewer.receiver.reason


def test_messages_before_the_proof_are_not_kept() -> None:
    scene = Scene(admit=asks)
    scene.producer.set_mode(320, 240)
    viewer = scene.view(prove=Proves())
    viewer.receiver.receive(ModeUpdate(1, 99, 8, 8), 0.0)
    assert not viewer.receiver._early
    scene.settle()


def test_messages_that_overtake_the_welcome_are_limited() -> None:
    receiver = Scene().view().receiver
    for serial in range(1, 10_000):
        receiver.receive(Ping(serial), 0.0)
    assert len(receiver._early) == MAX_EARLY
    others = Scene().view(role="view", audience=True).receiver
    others.receive(ModeUpdate(1, 1, 64, 48), 0.0)
    assert not others._early


def test_either_side_ends_with_a_reason() -> None:
    scene = Scene()
    one, two = scene.view(), scene.view()
    scene.run(0.01)
    one.receiver.goodbye("enough")
    two.sender.refuse("the host ends")
    scene.run(0.01)
    assert (one.sender.stage, one.sender.reason) == (Stage.CLOSED, "enough")
    assert (two.receiver.stage, two.receiver.reason) == (Stage.CLOSED, "the host ends")
    for viewer in (one, two):
        assert viewer.sender.next_message(scene.now) is None
        assert viewer.sender.to_send(scene.now) == []


# ---- every message in every state ----

OF_VIEWER = [
    SessionHello(1, "view", ["zstd"], 1000),
    Proof(b""),
    Ack(0),
    ViewerInput(1, b""),
    KeepAlive(),
    Goodbye(),
]
LEGAL = {
    Stage.NEW: {SessionHello, Goodbye},
    Stage.CHALLENGED: {Proof, Goodbye},
    Stage.OPEN: {Ack, ViewerInput, KeepAlive, Goodbye},
    Stage.CLOSED: {SessionHello, Proof, Ack, ViewerInput, KeepAlive, Goodbye},
}


def viewer_at(stage: Stage) -> Viewer:
    challenged = Admission("control", Challenge(b""), lambda proof: True)
    asks = stage is Stage.CHALLENGED
    scene = Scene(admit=lambda hello, raw: challenged if asks else Admission("control"))
    viewer = scene.view()
    viewer.receiver.to_send()
    if stage is not Stage.NEW:
        viewer.sender.receive(OF_VIEWER[0], 0.0)  # type: ignore[arg-type]
    if stage is Stage.CLOSED:
        viewer.sender.receive(Goodbye(), 0.0)
    assert viewer.sender.stage is stage
    return viewer


@pytest.mark.parametrize("stage", LEGAL)
@pytest.mark.parametrize("message", OF_VIEWER, ids=lambda m: type(m).__name__)
def test_a_viewers_messages(stage: Stage, message: messages.FromViewer) -> None:
    viewer = viewer_at(stage)
    if type(message) in LEGAL[stage]:
        viewer.sender.receive(message, 1.0)
        return
    with pytest.raises(PeerError, match=stage.value):
        viewer.sender.receive(message, 1.0)
    assert viewer.sender.stage is Stage.CLOSED


CHALLENGE = Challenge(KeyExchange().public)
OF_SENDER = [
    CHALLENGE, messages.SessionWelcome(1, 7, "zstd", "view"), messages.SessionRefused("no"),
    ModeUpdate(1, 1, 64, 48), messages.Segment(1, 0, 1, 1, 1, 0, b""),
    messages.LossySegment(1, 0, 1, 1, 1, 0, b""),
    messages.CursorUpdate(1, True, 0, 0), messages.StateUpdate(1, 1), Ping(1), InputDone(1),
    MachineEvent("e"), messages.Lead(), messages.Ticket(bytes(74)), Goodbye(),
]  # fmt: skip
NUMBERED = {
    ModeUpdate,
    messages.Segment,
    messages.LossySegment,
    messages.CursorUpdate,
    messages.StateUpdate,
    Ping,
}
RECEIVES = {
    Stage.NEW: {messages.SessionRefused, Goodbye},
    Stage.GREETED: {
        Challenge,
        messages.SessionWelcome,
        messages.SessionRefused,
        Goodbye,
        *NUMBERED,
    },
    Stage.PROVED: {messages.SessionWelcome, messages.SessionRefused, Goodbye, *NUMBERED},
    Stage.OPEN: {
        messages.SessionRefused,
        InputDone,
        MachineEvent,
        messages.Lead,
        Goodbye,
        *NUMBERED,
    },
    Stage.CLOSED: {type(message) for message in OF_SENDER},
}


@pytest.mark.parametrize("stage", RECEIVES)
@pytest.mark.parametrize("message", OF_SENDER, ids=lambda m: type(m).__name__)
def test_a_senders_messages(stage: Stage, message: messages.FromSender) -> None:
    asked = stage is Stage.PROVED or message is CHALLENGE
    receiver = Scene().view(**{"prove": Proves()} if asked else {}).receiver
    steps = {
        Stage.NEW: [], Stage.GREETED: [], Stage.PROVED: [CHALLENGE],
        Stage.OPEN: [*[CHALLENGE] * asked, messages.SessionWelcome(1, 7, "zstd", "view")],
        Stage.CLOSED: [*[CHALLENGE] * asked, Goodbye()],
    }[stage]  # fmt: skip
    if stage is Stage.NEW:
        receiver.stage = Stage.NEW
    for step in steps:
        receiver.receive(step, 0.0)
    assert receiver.stage is stage
    if type(message) in RECEIVES[stage]:
        receiver.receive(message, 1.0)
        return
    with pytest.raises(PeerError, match=stage.value):
        receiver.receive(message, 1.0)
    assert receiver.stage is Stage.CLOSED


# ---- senders that lie ----

OPENED = [messages.SessionWelcome(1, 7, "zstd", "view"), ModeUpdate(1, 5, 64, 48)]


def assert_ends_without_drawing(
    viewer: Viewer, steps: list[messages.FromSender], message: messages.FromSender, why: str
) -> None:
    """Receive a session's first messages and an invalid one."""
    for step in steps:
        viewer.receiver.receive(step, 0.0)
    before = viewer.target.pixels.copy()
    with pytest.raises(PeerError, match=why):
        viewer.receiver.receive(message, 1.0)
    assert viewer.receiver.stage is Stage.CLOSED
    assert np.array_equal(viewer.target.pixels, before)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (messages.Segment(2, 0, 5, 1, 1, 9, b"12345678"), "its segment 9"),
        (messages.Segment(2, 0, 5, 1, 1, 9, b"\xff"), "1 bytes is not zstd"),
        (ModeUpdate(2, 4, 64, 48), "epoch"),
        (ModeUpdate(2, 6, 16384, 16384), "limit"),
        (messages.Segment(2, 3, 5, 1, 1, 0, b""), "builds on"),
        (messages.CursorUpdate(2, True, 0, 0, 0, 0, 200, 200, b"x"), "zstd"),
    ],
)
def test_an_invalid_message_ends_the_session_without_drawing(
    message: messages.FromSender, why: str
) -> None:
    assert_ends_without_drawing(Scene().view(), OPENED, message, why)


LOSSY = [messages.SessionWelcome(1, 7, "zstd", "view", lossy=True), ModeUpdate(1, 5, 64, 48)]
NOTHING = codecs.compress(b"", "zstd")
PHOTO = jpeg.compress(np.full((16, 16, 4), 90, np.uint8))


def lossy(*shown: messages.Photo) -> messages.LossySegment:
    return messages.LossySegment(2, 0, 5, 1, 1, 0, NOTHING, 0, list(shown))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (lossy(messages.Photo(49, 0, 16, 16, PHOTO)), "outside the picture"),
        (lossy(messages.Photo(0, 33, 16, 16, PHOTO)), "outside the picture"),
        (lossy(messages.Photo(16383, 16383, 16384, 16384, PHOTO)), "outside the picture"),
        (lossy(*[messages.Photo(0, 0, 64, 48, PHOTO)] * 256), "has a JPEG of 16x16"),
        (lossy(messages.Photo(0, 0, 16, 16, PHOTO), messages.Photo(0, 0, 8, 8, b"x")), "begin"),
        (messages.LossySegment(2, 0, 5, 1, 1, 9, b"12345678"), "its segment 9"),
    ],
)
def test_an_invalid_photo_ends_the_session_without_drawing(
    message: messages.LossySegment, why: str
) -> None:
    viewer = Scene().view(codecs=["zstd", "jpeg"], lossy=True)
    assert_ends_without_drawing(viewer, LOSSY, message, why)


def test_photos_over_the_pixel_limit_are_not_decoded() -> None:
    viewer = Scene(capacity=4 << 20).view(codecs=["zstd", "jpeg"], lossy=True)
    for step in (LOSSY[0], ModeUpdate(1, 5, 1024, 800)):
        viewer.receiver.receive(step, 0.0)
    with pytest.raises(PeerError, match="over the limit"):
        viewer.receiver.receive(lossy(*[messages.Photo(0, 0, 1024, 800, PHOTO)] * 2), 1.0)


def test_photos_in_a_lossless_session_end_it() -> None:
    viewer = Scene().view()
    for step in OPENED:
        viewer.receiver.receive(step, 0.0)
    with pytest.raises(PeerError, match="lossless session"):
        viewer.receiver.receive(lossy(messages.Photo(0, 0, 16, 16, PHOTO)), 1.0)


def test_a_photo_is_drawn_and_the_picture_is_not_exact() -> None:
    viewer = Scene().view(codecs=["zstd", "jpeg"], lossy=True)
    for step in LOSSY:
        viewer.receiver.receive(step, 0.0)
    assert viewer.receiver.picture.exact
    viewer.receiver.receive(lossy(messages.Photo(48, 32, 16, 16, PHOTO)), 1.0)
    assert (viewer.receiver.picture.exact, viewer.receiver.picture.complete_version) == (False, 1)
    assert np.abs(viewer.target.pixels[32:, 48:, :3].astype(int) - 90).max() < 4
    assert not viewer.target.pixels[:32].any()
    viewer.receiver.receive(messages.Segment(3, 0, 5, 2, 2, 0, NOTHING), 1.0)
    assert viewer.receiver.picture.exact


def test_a_welcome_with_another_codec_ends_the_session() -> None:
    viewer = Scene().view(codecs=["zstd"])
    with pytest.raises(PeerError, match="uses codec lz4"):
        viewer.receiver.receive(messages.SessionWelcome(1, 7, "lz4", "view"), 0.0)
    viewer = Scene().view(codecs=["zstd"])
    with pytest.raises(PeerError, match="photos"):
        viewer.receiver.receive(messages.SessionWelcome(1, 7, "zstd", "view", lossy=True), 0.0)


def test_a_decreasing_version_ends_the_session() -> None:
    viewer = Scene().view()
    for step in OPENED:
        viewer.receiver.receive(step, 0.0)
    nothing = codecs.compress(b"", "zstd")
    viewer.receiver.receive(messages.Segment(2, 0, 5, 9, 9, 0, nothing), 0.0)
    with pytest.raises(PeerError, match="version 8 follows the later 9"):
        viewer.receiver.receive(messages.Segment(3, 0, 5, 8, 8, 0, nothing), 0.0)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = codecs.compress(b"\0" * (64 << 20), "zstd")
    for size in (len(bomb), 1 << 20):
        viewer = Scene().view()
        for step in OPENED:
            viewer.receiver.receive(step, 0.0)
        with pytest.raises(PeerError, match="frame has size 67108864"):
            viewer.receiver.receive(messages.Segment(2, 0, 5, 1, 1, size, bomb), 0.0)


def test_a_viewer_that_acknowledges_what_was_not_sent_is_refused() -> None:
    scene = Scene()
    scene.producer.set_mode(64, 48)
    viewer = scene.view()
    scene.settle()
    with pytest.raises(PeerError, match="was sent"):
        viewer.sender.receive(Ack(10_000), scene.now)


def test_appended_fields_are_skipped_and_unknown_messages_refused() -> None:
    import msgspec

    ack = msgspec.msgpack.decode(messages.encode(Ack(5, [3])))
    longer = msgspec.msgpack.encode([*ack, "a field of tomorrow"])
    assert messages.decode_from_viewer(longer) == Ack(5, [3])
    for data in (b"", b"\xc1", msgspec.msgpack.encode([99, 1]), msgspec.msgpack.encode({"a": 1}),
                 messages.encode(Ping(1)), messages.encode(ViewerInput(0, b"")),
                 b"\x90" * 100_000):  # fmt: skip
        with pytest.raises(PeerError):
            messages.decode_from_viewer(data)
