"""Hosts, origins, and the headers of answers."""

from __future__ import annotations

import pytest

from kju.web.rules import AllowedHosts, cookie_name, headers

HOSTS = AllowedHosts({"127.0.0.1", "localhost", "::1"}, 7480, secure=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7480", "localhost:7480", "LOCALHOST:7480", "[::1]:7480"]
)
def test_the_servers_own_hosts_are_allowed(host: str) -> None:
    assert HOSTS.has(host)
    assert HOSTS.is_own_origin(f"http://{host}", host)


@pytest.mark.parametrize(
    "host",
    [
        None, "", "localhost", "localhost:7481", "evil.example:7480", "127.0.0.1.evil.example:7480",
        "localhost:7480@evil.example", "localhost:7480 ", "127.0.0.2:7480",
    ],
)  # fmt: skip
def test_another_host_is_refused(host: str | None) -> None:
    assert not HOSTS.has(host)
    assert not HOSTS.is_own_origin("http://localhost:7480", host)


@pytest.mark.parametrize(
    "origin",
    [
        None, "", "null", "http://evil.example", "https://localhost:7480", "http://localhost",
        "http://localhost:7481", "http://127.0.0.1:7480", "http://localhost:7480/",
        "localhost:7480",
    ],
)  # fmt: skip
def test_another_origin_is_refused(origin: str | None) -> None:
    assert not HOSTS.is_own_origin(origin, "localhost:7480")


def test_the_usual_port_may_be_left_out() -> None:
    hosts = AllowedHosts({"lab.example"}, 443, secure=True)
    assert hosts.is_own_origin("https://lab.example", "lab.example")


def test_a_secure_cookie_belongs_to_one_host_and_port() -> None:
    assert cookie_name(8443, secure=True) == "__Host-kju-8443"
    assert cookie_name(7480, secure=False) == "kju-7480"


def test_no_page_may_embed_the_page() -> None:
    found = headers()
    assert found["Content-Security-Policy"].endswith("frame-ancestors 'none'")
    assert found["X-Frame-Options"] == "DENY"


def test_a_named_origin_may_embed_the_page() -> None:
    found = headers(["https://lab.example"])
    assert found["Content-Security-Policy"].endswith("frame-ancestors https://lab.example")
    assert "X-Frame-Options" not in found
