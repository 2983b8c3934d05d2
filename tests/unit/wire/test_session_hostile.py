"""Invalid messages of either peer, in every state of a session."""

from __future__ import annotations

import numpy as np
import pytest
from support.wire_scene import Proves, Scene, Viewer

from kju.errors import PeerError
from kju.wire import codecs, jpeg, messages
from kju.wire.greeting import Admission, Stage
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
    ViewerInput,
)
from kju.wire.seal import KeyExchange

CHALLENGE = Challenge(KeyExchange().public)


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
