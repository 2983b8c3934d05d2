"""The control protocol without a socket."""

from __future__ import annotations

import struct

import msgspec
import pytest

from kju import errors
from kju.errors import (
    ConflictError,
    DefinitionError,
    KjuError,
    LimitError,
    MachineExistsError,
    PeerError,
    RoleError,
)
from kju.protocol import framing as protocol
from kju.protocol import messages
from kju.protocol.dry_run import DryRun
from kju.protocol.framing import ClientSide, HostSide, error_from, failure, pack
from kju.protocol.launch_options import Launch
from kju.protocol.values import Role


def greeted(role: Role = "control") -> HostSide:
    host = HostSide()
    host.receive_data(pack(messages.Hello(role=role, client="test"), 1))
    return host


def frame(body: bytes, number: int = 5) -> bytes:
    return struct.pack("<IQ", 8 + len(body), number) + body


def test_hello_sets_the_role() -> None:
    host = HostSide()
    ((_, request),) = host.receive_data(pack(messages.Hello(role="view", client="me"), 1))
    assert isinstance(request, messages.Hello)
    assert (host.role, host.client) == ("view", "me")


def test_launch_stands_for_hello_where_it_is_expected() -> None:
    host = HostSide(launch=True)
    host.receive_data(pack(Launch(machine="m"), 1))
    assert host.role == "control"
    with pytest.raises(PeerError):
        HostSide().receive_data(pack(Launch(), 1))
    with pytest.raises(PeerError):
        HostSide(launch=True).receive_data(pack(messages.Hello(), 1))


def test_nothing_before_hello_and_no_hello_twice() -> None:
    with pytest.raises(PeerError, match="began with GetInfo"):
        HostSide().receive_data(pack(messages.GetInfo(), 1))
    with pytest.raises(PeerError, match="twice"):
        greeted().receive_data(pack(messages.Hello(), 1))


def test_another_protocol_is_refused_by_number() -> None:
    with pytest.raises(PeerError, match="different versions"):
        HostSide().receive_data(pack(messages.Hello(protocol=99), 1))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        msgspec.msgpack.encode({"type": "nothing"}),
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
        greeted().receive_data(frame(body))


def test_a_request_has_a_number() -> None:
    with pytest.raises(PeerError, match="number 0"):
        greeted().receive_data(pack(messages.GetInfo(), 0))


def test_a_frame_shorter_than_its_number_is_refused() -> None:
    with pytest.raises(PeerError, match="limits"):
        greeted().receive_data(struct.pack("<I", 7) + b"1234567")


def test_a_frame_too_long_is_refused_before_its_body_arrives() -> None:
    with pytest.raises(PeerError, match="limit"):
        greeted().receive_data(struct.pack("<I", protocol.MAX_FRAME + 1))
    with pytest.raises(PeerError, match="limit"):
        pack(messages.Info(info={"text": "x" * (protocol.MAX_FRAME + 1)}))


def test_unknown_fields_are_ignored() -> None:
    body = msgspec.msgpack.encode({"type": "info", "later": True})
    (found,) = greeted().receive_data(frame(body))
    assert found == (5, messages.GetInfo())


def test_descriptors_go_to_the_reply_that_claims_them() -> None:
    client = ClientSide()
    numbers = [client.request(messages.GetSurface())[0] for _ in range(3)]
    plain = messages.Done()
    first = messages.SurfaceHandle(descriptors=1, console=0, size=1)
    second = messages.SurfaceHandle(descriptors=1, console=1, size=1)
    answers = client.receive_data(b"".join(map(pack, (plain, first, second), numbers)), [70, 71])
    assert [number for number, _ in answers] == numbers
    assert [a.descriptors for _, a in answers] == [(), (70,), (71,)]
    assert client.unclaimed() == []


def test_descriptors_of_a_broken_reply_are_unclaimed() -> None:
    client = ClientSide()
    number, _ = client.request(messages.GetSurface())
    good = messages.SurfaceHandle(descriptors=1, console=0, size=1)
    with pytest.raises(PeerError, match="not an open request"):
        client.receive_data(pack(good, number) + pack(messages.Done(), 9), [70])
    assert client.unclaimed() == [70]


def test_a_reply_needs_an_open_request_and_its_descriptors() -> None:
    client = ClientSide()
    with pytest.raises(PeerError, match="not an open request"):
        client.receive_data(pack(messages.Done(), 1))
    number, _ = client.request(messages.GetSurface())
    with pytest.raises(PeerError, match="fewer"):
        client.receive_data(pack(messages.SurfaceHandle(descriptors=1, console=0, size=1), number))
    with pytest.raises(PeerError, match="belong to no reply"):
        ClientSide().receive_data(b"", list(range(50, 60)))


def test_the_notice_of_the_end_is_kept() -> None:
    client = ClientSide()
    assert client.receive_data(pack(messages.Ended(reason="done", status=0))) == []
    assert client.ended is not None
    assert client.ended.reason == "done"


@pytest.mark.parametrize("name", [n for n in dir(errors) if n.endswith("Error")])
def test_every_error_survives_encoding(name: str) -> None:
    cls = getattr(errors, name)
    if cls is LimitError:
        made: KjuError = LimitError("text", "shmmax", 1, 2)
    else:
        made = cls("text")
    back = error_from(failure(made))
    assert str(back) == "text"
    assert type(back) is cls
    assert vars(back) == vars(made)


def test_a_machines_name_survives_encoding() -> None:
    back = error_from(failure(MachineExistsError("text", "m")))
    assert isinstance(back, MachineExistsError)
    assert back.name == "m"


def test_an_internal_error_is_sent_as_its_public_base() -> None:
    class Special(RoleError):
        pass

    assert type(error_from(failure(Special("x")))) is RoleError
    assert type(error_from(messages.Failed(error="exit", message="x"))) is KjuError


def test_field_and_place_of_an_error_survive_encoding() -> None:
    back = error_from(failure(ConflictError("text").about("disk_bus")))
    assert back.option == "disk_bus"
    back = error_from(failure(DefinitionError("text", "/m/machine.toml", 3, "image")))
    assert isinstance(back, DefinitionError)
    assert (back.file, back.line, back.key) == ("/m/machine.toml", 3, "image")


def test_host_for_dry_runs_takes_nothing_else() -> None:
    dry = [DryRun(machine="a"), DryRun(launch=Launch(image="/x")), messages.Cancel()]
    numbered = b"".join(pack(each, number) for number, each in enumerate(dry, 1))
    assert [found for _, found in HostSide(launch=True).receive_data(numbered)] == dry
    for second in (Launch(), messages.Hello(), messages.GetInfo()):
        side = HostSide(launch=True)
        side.receive_data(pack(dry[0], 1))
        with pytest.raises(PeerError):
            side.receive_data(pack(second, 2))
    for first in (messages.Hello(), Launch()):
        side = HostSide(launch=isinstance(first, Launch))
        side.receive_data(pack(first, 1))
        with pytest.raises(PeerError, match="DryRun, not for this host"):
            side.receive_data(pack(dry[0], 2))
    with pytest.raises(PeerError, match="began with DryRun, not Hello"):
        HostSide().receive_data(pack(dry[0], 1))


def test_decoder_of_replies_is_made_by_the_import() -> None:
    """Two threads that make one at the same time crash the process."""
    assert isinstance(protocol._replies, msgspec.msgpack.Decoder)
