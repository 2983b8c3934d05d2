"""The beginning of a session: proof, welcome, audience; and its end."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from support.wire_scene import Link, Proves, Scene, asks, draw_random, draw_square

from kju.errors import KjuError, PeerError
from kju.surface.formats import R8, XR24
from kju.wire import messages
from kju.wire.greeting import Admission, Stage
from kju.wire.messages import (
    Ack,
    Challenge,
    Goodbye,
    InputDone,
    MachineEvent,
    ModeUpdate,
    Ping,
    SessionHello,
    ViewerInput,
)
from kju.wire.receiver_session import MAX_EARLY
from kju.wire.seal import GroupSeal, KeyExchange

CHALLENGE = Challenge(KeyExchange().public)


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
    draw_random(old, rng)
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
    draw_random(scene, rng)
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
    draw_square(scene, 1)
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
