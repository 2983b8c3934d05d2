"""Names of screens, endpoints, and the configuration of a zenoh session."""

from __future__ import annotations

import pytest

from kju.errors import UsageError
from kju.remote import addresses
from kju.remote.addresses import SessionOptions, Tls, endpoint, safe_endpoint


@pytest.mark.parametrize("name", ["a", "lab/host1/debian", "lab/host1/debian.1", "_x/A-b.c"])
def test_valid_names_are_accepted(name: str) -> None:
    assert addresses.parse_screen(f"zenoh:{name}") == name
    assert addresses.screen_of(addresses.presence(name)) == name


@pytest.mark.parametrize(
    "text",
    ["debian", "zenoh:", "zenoh:a//b", "zenoh:/a", "zenoh:a/", "zenoh:a b", "zenoh:*", "zenoh:a/**",
     "zenoh:$*", "zenoh:@a", "zenoh:" + "a/" * 8 + "a", "zenoh:" + "a" * 65, "zenoh:-a",
     "zenoh:a?b"],
)  # fmt: skip
def test_an_invalid_name_is_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        addresses.parse_screen(text)


def test_a_viewer_is_found_in_a_key_and_nothing_else() -> None:
    viewer = "0123456789abcdef" * 2
    assert addresses.viewer_of(addresses.from_viewer("lab/a", viewer)) == viewer
    assert addresses.viewer_of("kju/from/lab/a/../x") == ""
    assert addresses.screen_of("kju/from/a") == ""
    assert addresses.screen_of("kju/up/a b") == ""


LOCAL = "unix:/run/user/1/kju/.network"


@pytest.mark.parametrize(
    ("text", "said", "local"),
    [
        (LOCAL, LOCAL, True),
        ("localhost:7447", "tls/localhost:7447", True),
        ("tcp/127.0.0.1:1", "tcp/127.0.0.1:1", True),
        ("quic/[::1]:7447", "quic/[::1]:7447", True),
        ("10.0.0.1:7447", "tls/10.0.0.1:7447", False),
        ("tcp/0.0.0.0:7447", "tcp/0.0.0.0:7447", False),
        ("lab.example:7447", "tls/lab.example:7447", False),
    ],
)
def test_endpoint_is_parsed(text: str, said: str, local: bool) -> None:
    made = endpoint(text)
    assert (str(made), made.is_local) == (said, local)


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:99999", "udp/host:1", "a:b:1", "::1:7447"]
)
def test_an_invalid_endpoint_is_an_error(text: str) -> None:
    with pytest.raises(UsageError):
        endpoint(text)


def test_unencrypted_remote_endpoints_need_insecure() -> None:
    SessionOptions(listen=[endpoint(LOCAL)]).check(insecure=False)
    open_to_all = SessionOptions(listen=[endpoint("tcp/0.0.0.0:7447")])
    with pytest.raises(UsageError, match="--insecure"):
        open_to_all.check(insecure=False)
    open_to_all.check(insecure=True)
    with pytest.raises(UsageError, match="certificates"):
        SessionOptions(connect=[endpoint("far.example:7447")]).check(insecure=True)
    SessionOptions(connect=[endpoint("far.example:7447")], tls=Tls("a", "b", "c")).check(
        insecure=False
    )


def test_zenoh_uses_neither_shared_memory_nor_scouting() -> None:
    made = SessionOptions(listen=[endpoint(LOCAL)], router=True).zenoh()
    assert made["mode"] == "router"
    assert made["listen/endpoints"] == ["unixsock-stream//run/user/1/kju/.network"]
    assert made["transport/shared_memory/enabled"] is False
    assert made["scouting/multicast/enabled"] is False
    assert SessionOptions(connect=[endpoint(LOCAL)]).zenoh()["mode"] == "client"


FAR = "tcp/10.0.0.1:7447"


def test_remote_endpoints_are_also_available_over_quic() -> None:
    place, here = endpoint(FAR), endpoint("tcp/127.0.0.1:7447")
    both = SessionOptions(listen=[place, here])
    assert [both.may_have_datagrams(each) for each in (place, here, endpoint(LOCAL))] == [
        True, False, False,
    ]  # fmt: skip
    assert both.zenoh([place])["listen/endpoints"] == [
        "udp/10.0.0.1:7447?rel=1;mixed_rel=auto;multistream=0", FAR, "tcp/127.0.0.1:7447",
    ]  # fmt: skip
    assert not both._replace(datagrams=False).may_have_datagrams(place)
    assert both._replace(datagrams=True).may_have_datagrams(here)
    assert endpoint("10.0.0.1:1").quic == "quic/10.0.0.1:1?mixed_rel=auto;multistream=0"


def test_a_client_tries_quic_before_tcp() -> None:
    place = endpoint(FAR)
    quic = "udp/10.0.0.1:7447?rel=1;mixed_rel=auto;multistream=0"
    made = SessionOptions(connect=[place])
    assert made.zenoh()["connect/endpoints"] == [FAR]
    assert made.zenoh([place])["connect/endpoints"] == [quic, FAR]
    # zenoh tries every endpoint given there, and would wait for the second for ever.
    assert made._replace(router=True).zenoh([place])["connect/endpoints"] == [quic]


pytest.importorskip("zenoh")


@pytest.mark.parametrize(("descriptors", "pending"), [(1024, 512), (20_000, 2_000), (1, 1)])
def test_new_connections_take_half_of_the_open_files_at_most(
    descriptors: int, pending: int
) -> None:
    found = SessionOptions().zenoh((), descriptors)
    assert found["transport/unicast/accept_pending"] == pending


def test_links_are_closed_when_their_certificates_expire() -> None:
    found = SessionOptions(listen=[endpoint("tls/127.0.0.1:7447")], tls=Tls("a", "b", "c")).zenoh()
    assert found["transport/link/tls"]["close_link_on_expiration"] is True


@pytest.mark.parametrize(
    ("text", "insecure", "protocol"),
    [
        ("host1.example:7447", False, "tls"),
        ("host1.example:7447", True, "tcp"),
        ("tcp/host1.example:7447", False, "tcp"),  # `check` refuses it
        ("quic/host1.example:7447", True, "quic"),
        ("127.0.0.1:7447", False, "tcp"),
        ("unix:/run/user/1000/kju/.network", False, "unix"),
    ],
)
def test_an_address_of_another_computer_is_encrypted_by_default(
    text: str, insecure: bool, protocol: str
) -> None:
    assert safe_endpoint(text, insecure=insecure).protocol == protocol
