"""The control protocol without a socket."""

from __future__ import annotations

import struct

import msgspec
import pytest

from kju import errors
from kju.errors import KjuError, LimitError, MachineExistsError, PeerError, RoleError
from kju.protocol import framing as protocol
from kju.protocol import messages
from kju.protocol.framing import ClientSide, HostSide, error_from, failure, pack


def greeted(role: messages.Role = "control") -> HostSide:
    host = HostSide()
    host.receive_data(pack(messages.Hello(role=role, client="test")))
    return host


def test_hello_sets_the_role() -> None:
    host = HostSide()
    (request,) = host.receive_data(pack(messages.Hello(role="view", client="me")))
    assert isinstance(request, messages.Hello)
    assert (host.role, host.client) == ("view", "me")


def test_launch_stands_for_hello_where_it_is_expected() -> None:
    host = HostSide(launch=True)
    host.receive_data(pack(messages.Launch(machine="m")))
    assert host.role == "control"
    with pytest.raises(PeerError):
        HostSide().receive_data(pack(messages.Launch()))
    with pytest.raises(PeerError):
        HostSide(launch=True).receive_data(pack(messages.Hello()))


def test_nothing_before_hello_and_no_hello_twice() -> None:
    with pytest.raises(PeerError, match="began with GetInfo"):
        HostSide().receive_data(pack(messages.GetInfo()))
    with pytest.raises(PeerError, match="twice"):
        greeted().receive_data(pack(messages.Hello()))


def test_another_protocol_is_refused_by_number() -> None:
    with pytest.raises(PeerError, match="different versions"):
        HostSide().receive_data(pack(messages.Hello(protocol=99)))


@pytest.mark.parametrize(
    "request_", [messages.Keys(steps=[(1, True)]), messages.Stop(), messages.Hold()]
)
def test_the_view_role_is_enforced(request_: messages.AnyRequest) -> None:
    host = greeted("view")
    assert host.receive_data(pack(request_)) == []
    (out,) = host.data_to_send()
    client = ClientSide()
    client.request(request_)
    (answer,) = client.receive_data(out.data)
    assert isinstance(answer.reply, messages.Failure)
    assert isinstance(error_from(answer.reply), RoleError)
    assert greeted("control").receive_data(pack(request_)) == [request_]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        msgspec.msgpack.encode({"type": "nothing"}),
        msgspec.msgpack.encode({"type": "hello", "number": 0}),
        msgspec.msgpack.encode({"type": "hello", "role": "root"}),
        msgspec.msgpack.encode({"type": "keys", "steps": [[0, True]]}),
        msgspec.msgpack.encode({"type": "keys", "steps": [[256, True]]}),
        msgspec.msgpack.encode({"type": "keys", "steps": [[1, True]] * 1025}),
        msgspec.msgpack.encode({"type": "surface", "console": -1}),
        msgspec.msgpack.encode({"type": "hold", "milliseconds": 10_000}),
        b"\x81" * 5000,
        b"\x81\xa4type\xa5\xff\xff\xff\xff\xff",
    ],
)
def test_garbage_is_a_peer_error(body: bytes) -> None:
    with pytest.raises(PeerError):
        greeted().receive_data(struct.pack("<I", len(body)) + body)


def test_a_frame_too_long_is_refused_before_it_comes() -> None:
    with pytest.raises(PeerError, match="limit"):
        greeted().receive_data(struct.pack("<I", protocol.MAX_FRAME + 1))
    with pytest.raises(PeerError, match="limit"):
        pack(messages.Info(number=1, info={"text": "x" * (protocol.MAX_FRAME + 1)}))


def test_unknown_fields_are_ignored() -> None:
    body = msgspec.msgpack.encode({"type": "info", "number": 5, "later": True})
    (request,) = greeted().receive_data(struct.pack("<I", len(body)) + body)
    assert request == messages.GetInfo(number=5)


def test_descriptors_go_to_the_reply_that_claims_them() -> None:
    client = ClientSide()
    numbers = [client.request(messages.GetSurface())[0] for _ in range(3)]
    plain = messages.Done(number=numbers[0])
    first = messages.SurfaceHandle(number=numbers[1], descriptors=1, console=0, size=1)
    second = messages.SurfaceHandle(number=numbers[2], descriptors=1, console=1, size=1)
    answers = client.receive_data(pack(plain) + pack(first) + pack(second), [70, 71])
    assert [a.descriptors for a in answers] == [(), (70,), (71,)]
    assert client.unclaimed() == []


def test_what_comes_with_a_broken_reply_is_unclaimed() -> None:
    client = ClientSide()
    number, _ = client.request(messages.GetSurface())
    good = messages.SurfaceHandle(number=number, descriptors=1, console=0, size=1)
    with pytest.raises(PeerError, match="not asked"):
        client.receive_data(pack(good) + pack(messages.Done(number=9)), [70])
    assert client.unclaimed() == [70]


def test_replies_must_be_asked_for_and_bring_what_they_say() -> None:
    client = ClientSide()
    with pytest.raises(PeerError, match="not asked"):
        client.receive_data(pack(messages.Done(number=1)))
    number, _ = client.request(messages.GetSurface())
    with pytest.raises(PeerError, match="fewer"):
        client.receive_data(
            pack(messages.SurfaceHandle(number=number, descriptors=1, console=0, size=1))
        )
    with pytest.raises(PeerError, match="belong to no reply"):
        ClientSide().receive_data(b"", list(range(50, 60)))


def test_the_last_word_is_kept() -> None:
    client = ClientSide()
    assert client.receive_data(pack(messages.Ended(reason="done", status=0))) == []
    assert client.ended is not None
    assert client.ended.reason == "done"


@pytest.mark.parametrize("name", [n for n in dir(errors) if n.endswith("Error")])
def test_every_error_survives_the_way(name: str) -> None:
    cls = getattr(errors, name)
    if cls is LimitError:
        made: KjuError = LimitError("text", "shmmax", 1, 2)
    else:
        made = cls("text")
    back = error_from(failure(1, made))
    assert str(back) == "text"
    assert type(back) is cls
    assert vars(back) == vars(made)


def test_a_machines_name_survives_the_way() -> None:
    back = error_from(failure(1, MachineExistsError("text", "m")))
    assert isinstance(back, MachineExistsError)
    assert back.name == "m"


def test_an_error_of_ours_goes_as_the_one_it_is_made_from() -> None:
    class Special(RoleError):
        pass

    assert type(error_from(failure(1, Special("x")))) is RoleError
    assert type(error_from(messages.Failure(number=1, error="exit", message="x"))) is KjuError
