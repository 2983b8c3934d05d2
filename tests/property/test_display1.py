"""QEMU's bytes, split and damaged anywhere: the same messages, or a documented error."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_display import Calls

from kju.errors import PeerError
from kju.sources.display1 import messages
from kju.sources.display1.frames import Received, RejectedMessage, Splitter
from kju.sources.display1.listener import DisplayListener, Mistake
from kju.sources.display1.presenter import Presenter
from kju.surface import surface_size
from kju.surface.producer import Producer


def a_session() -> bytes:
    calls = Calls()
    path, interface = messages.LISTENER_PATH, messages.LISTENER
    return b"".join(
        [
            calls.bytes(messages.get_properties(path, interface)),
            calls.scanout(8, 4, range(128)),
            calls.update((2, 1, 3, 2), range(24)),
            calls.listener("CursorDefine", "iiiiay", 2, 2, 0, 1, bytes(range(16))),
            calls.listener("MouseSet", "iii", 3, 2, 1, reply=False),
            calls.listener("Nothing", "s", "text"),
            calls.scanout_map(4, 4),
            calls.update_map(0, 0, 2, 2),
            calls.listener("Disable"),
        ]
    )


SESSION = a_session()


def plain(messages_: list[Received | RejectedMessage]) -> list[object]:
    """Return messages as comparable values, copied out of the receive buffer."""
    return [
        (
            m.serial,
            m.member,
            m.wants_reply,
            [bytes(v) if isinstance(v, memoryview) else v for v in m.body],
        )
        if isinstance(m, Received)
        else str(m.error)
        for m in messages_
    ]


def follow(data: bytes, cuts: list[int]) -> tuple[list[object], bytes, str]:
    """Feed *data* split at *cuts*; return the messages, the answers and the error."""
    splitter, listener = Splitter(limit=1 << 20), DisplayListener()
    seen: list[object] = []
    answers = b""
    places = sorted({0, *(cut % (len(data) + 1) for cut in cuts), len(data)})
    for start, end in zip(places, [*places[1:], len(data)], strict=True):
        try:
            got = splitter.receive_data(data[start:end])
        except PeerError as error:
            return seen, answers, str(error)
        seen += plain(got)
        answers += b"".join(listener.receive(message).reply for message in got)
    return seen, answers, ""


@given(st.lists(st.integers(0, len(SESSION)), max_size=40))
def test_any_split_of_the_stream_gives_the_same_messages(cuts):
    assert follow(SESSION, cuts) == follow(SESSION, [])


@given(st.data())
def test_any_split_of_a_damaged_stream_gives_the_same_result(data):
    damaged = data.draw(mutations())
    cuts = data.draw(st.lists(st.integers(0, len(damaged)), max_size=10))
    assert follow(damaged, cuts) == follow(damaged, [])


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    damaged = bytearray(SESSION)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(damaged) - 1))
        kind = draw(st.sampled_from(["set", "cut", "insert", "number"]))
        if kind == "set":
            damaged[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del damaged[place : place + draw(st.integers(1, 9))]
        elif kind == "insert":
            damaged[place:place] = draw(st.binary(min_size=1, max_size=9))
        else:
            damaged[place : place + 4] = draw(
                st.sampled_from(
                    [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\1\0\0\0"]
                )
            )
        if not damaged:
            break
    return bytes(damaged)


def take_all(data: bytes) -> None:
    """Handle bytes as the source does, on a surface that must stay valid."""
    splitter, listener = Splitter(limit=1 << 20), DisplayListener()
    capacity = 1 << 20
    memory = np.zeros(surface_size(capacity), np.uint8)
    presenter = Presenter(Producer.format(memory.data, capacity, incarnation=1))
    try:
        got = splitter.receive_data(data)
    except PeerError:
        return
    for message in got:
        if isinstance(message, Received) and message.fds:
            continue
        for event in listener.receive(message).events:
            if isinstance(event, Mistake):
                assert isinstance(event.error, PeerError)
                continue
            try:
                presenter.handle(event, 0.0)
            except PeerError:
                continue
    presenter.publish(1.0)
    # The listener still works.
    good = Splitter().receive_data(Calls().scanout(2, 2, bytes(16)))[0]
    (event,) = listener.receive(good).events
    presenter.handle(event, 2.0)
    presenter.publish(3.0)
    assert (presenter.producer.mode.width, presenter.producer.mode.height) == (2, 2)


@given(mutations())
@settings(max_examples=300)
def test_damaged_messages_are_rejected_and_the_listener_survives(data):
    take_all(data)


@given(st.binary(max_size=400))
def test_random_bytes_are_rejected(data):
    take_all(data)


@given(st.binary(max_size=300), st.sampled_from(["a(yv)", "v", "a{sv}", "(vv)", "aav", "ag"]))
def test_random_bodies_are_rejected(body, signature):
    data = Calls().listener("Odd", "ay", body)
    head = data[: len(data) - len(body) - 4].replace(b"\2ay\0\0\0", _signature(signature))
    take_all(head[:4] + (len(body)).to_bytes(4, "little") + head[8:] + body)


def _signature(text: str) -> bytes:
    raw = bytes([len(text)]) + text.encode() + b"\0"
    return raw.ljust(6, b"\0")[:6]
