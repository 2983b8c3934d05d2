"""The control protocol under any split, and under arbitrary bytes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from kju.errors import PeerError
from kju.protocol import messages
from kju.protocol.framing import ClientSide, Framer, HostSide, pack
from kju.protocol.snapshots import ChangeSnapshot
from kju.protocol.values import TAG, Message, Request

STEPS = st.lists(st.tuples(st.integers(1, 255), st.booleans()), max_size=20)
REQUESTS = st.one_of(
    st.builds(messages.GetInfo),
    st.builds(messages.GetSurface, console=st.integers(0, 15)),
    st.builds(messages.Keys, steps=STEPS, interval=st.integers(0, 10_000)),
    st.builds(messages.Refresh, console=st.integers(0, 15)),
    st.builds(messages.Cancel),
    st.builds(messages.Stop, how=st.sampled_from(["quit", "powerdown"])),
    st.builds(messages.Power, how=st.sampled_from(["pause", "resume", "reset"])),
    st.builds(messages.Execute, command=st.just("stop"), arguments=st.text(max_size=50)),
    st.builds(ChangeSnapshot, how=st.just("load"), tag=st.from_regex(TAG)),
    st.builds(messages.Subscribe, since=st.integers(-1, 1 << 40)),
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


NUMBERED = st.lists(st.tuples(st.integers(1, (1 << 64) - 1), REQUESTS), max_size=8)


@given(NUMBERED, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_split_of_the_stream_gives_the_same_requests(
    requests: list[tuple[int, messages.AnyRequest]], cuts: list[int]
) -> None:
    stream = pack(messages.Hello(role="control"), 1)
    stream += b"".join(pack(request, number) for number, request in requests)
    host = HostSide()
    got = [request for piece in pieces(stream, cuts) for request in host.receive_data(piece)]
    assert got[1:] == requests


def received(side: HostSide | ClientSide, *chunks: bytes) -> list[type | None]:
    """Return the kinds of the messages that a side takes, and None for a rejection, which is last.

    No other error than `PeerError` may come out.
    """
    found: list[type | None] = []
    try:
        for chunk in chunks:
            found += [type(message) for _, message, *_ in side.receive_data(chunk)]
    except PeerError as error:
        assert str(error)
        found.append(None)
    return found


def is_kind(kind: type | None, of: type) -> bool:
    return kind is None or issubclass(kind, of)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_any_bytes_are_accepted_or_rejected(chunks: list[bytes]) -> None:
    for side in (HostSide(), HostSide(launch=True)):
        assert all(is_kind(kind, Request) for kind in received(side, *chunks))
    assert all(is_kind(kind, Message) for kind in received(ClientSide(), *chunks))


@given(st.integers(0, (1 << 64) - 1), st.binary(max_size=200))
def test_any_frame_is_accepted_or_rejected(number: int, body: bytes) -> None:
    frame = (8 + len(body)).to_bytes(4, "little") + number.to_bytes(8, "little") + body
    assert Framer().receive_data(frame) == [(number, body)]
    for greeting in (b"", pack(messages.Hello(role="control"), 1)):
        kinds = received(HostSide(), greeting + frame)
        assert kinds
        assert all(is_kind(kind, Request) for kind in kinds)


@given(REQUESTS, st.integers(0, 1 << 20), st.integers(0, 255))
def test_flipped_byte_is_accepted_or_rejected(
    request: messages.AnyRequest, at: int, value: int
) -> None:
    frame = bytearray(pack(messages.Hello(role="control"), 1) + pack(request, 2))
    frame[at % len(frame)] = value
    assert all(is_kind(kind, Request) for kind in received(HostSide(), bytes(frame)))
