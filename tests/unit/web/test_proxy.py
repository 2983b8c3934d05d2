"""A reverse proxy: its address, its connections, and the user whom it names."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from kju.errors import UsageError
from kju.web.proxy import Proxy, ProxyError, make_proxy, public_address
from kju.web.rules import AllowedHosts

URL = "https://kju.example/"


def headers(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://kju.example", "kju.example", "/"),
        ("https://KJU.example:443/", "kju.example", "/"),
        ("https://kju.example:8443/lab", "kju.example:8443", "/lab/"),
        ("https://[2001:db8::1]/a/b/", "[2001:db8::1]", "/a/b/"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080", "/"),
    ],
)
def test_a_public_address_has_a_host_and_a_path(url: str, host: str, path: str) -> None:
    found = public_address(url)
    assert (found.host, found.path) == (host, path)
    assert AllowedHosts.behind(found).is_own_origin(f"{found.scheme}://{host}", host)


@pytest.mark.parametrize(
    "url",
    [
        "", "kju.example", "ftp://kju.example/", "http://kju.example/", "https://", "https:///x",
        "https://u:p@kju.example/", "https://kju.example:x/", "https://kju.example/?a=1",
        "https://kju.example/#a", "https://kju.example/../", "https://kju.example/a b/",
        'https://kju.example/">/', "https://kju.example:99999/",
    ],
)  # fmt: skip
def test_an_invalid_public_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--url"):
        public_address(url)


@pytest.mark.parametrize("host", ["127.0.0.1:7480", "kju.example:7480", "evil.example", None])
def test_a_proxy_passes_on_the_public_host_only(host: str | None) -> None:
    assert not AllowedHosts.behind(public_address(URL)).has(host)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1", True), ("10.0.0.2", False), ("192.0.2.77", True), ("::ffff:10.0.0.1", True),
        ("2001:db8::1", True), ("2001:db8:1::1", False), ("", False), ("x", False),
    ],
)  # fmt: skip
def test_a_proxy_is_known_by_its_address(address: str, *, expected: bool) -> None:
    proxy = make_proxy(URL, ["10.0.0.1", "192.0.2.0/24", "2001:db8::/48"])
    assert proxy.is_peer(address) is expected


@pytest.mark.parametrize("peer", ["proxy.example", "10.0.0.1/8", "0.0.0.0/0", "::/0", ""])
def test_an_invalid_address_of_a_proxy_is_refused(peer: str) -> None:
    with pytest.raises(UsageError, match="--proxy"):
        make_proxy(URL, [peer])


@pytest.mark.parametrize("header", ["Cookie", "HOST", "X-Forwarded-For", "a b", "a:b", "x" * 65])
def test_a_header_with_another_purpose_cannot_name_users(header: str) -> None:
    with pytest.raises(UsageError, match="--trust-header"):
        make_proxy(URL, [], header)


def test_the_header_names_one_user() -> None:
    proxy = make_proxy(URL, [], "X-Remote-User")
    assert proxy.user(headers(("x-remote-user", "ann@example.org"))) == "ann@example.org"
    assert proxy.user(headers(("X-Remote-User", ""))) == proxy.user(headers()) == ""
    assert make_proxy(URL, []).user(headers(("X-Remote-User", "ann"))) == ""


@pytest.mark.parametrize("names", [["ann", "root"], ["ann, root"], ["S1"], ["<b>"], ["a" * 65]])
def test_several_or_invalid_names_are_refused(names: list[str]) -> None:
    proxy = make_proxy(URL, [], "X-Remote-User")
    with pytest.raises(ProxyError):
        proxy.user(headers(*(("X-Remote-User", name) for name in names)))


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ([], "10.0.0.1"),
        (["192.0.2.1"], "192.0.2.1"),
        (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),  # the client has sent 6.6.6.6
        (["192.0.2.1, 10.0.0.2"], "192.0.2.1"),  # two proxies
        (["192.0.2.1", "10.0.0.2"], "192.0.2.1"),
        (["192.0.2.1, nonsense"], "10.0.0.1"),
        (["192.0.2.1:50000"], "192.0.2.1"),
        (["6.6.6.6:1, 192.0.2.1:50000, 10.0.0.2:443"], "192.0.2.1"),
        (["[2001:db8::1]:50000"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (["2001:db8::1"], "2001:db8::1"),
        (["192.0.2.1:port"], "10.0.0.1"),
        (["10.0.0.2"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(forwarded: list[str], client: str) -> None:
    proxy: Proxy = make_proxy(URL, ["10.0.0.0/24"])
    found = proxy.client(headers(*(("X-Forwarded-For", each) for each in forwarded)), "10.0.0.1")
    assert found == client
