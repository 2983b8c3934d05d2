"""Connections of a host and the time for a greeting, with real sockets and a stub machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_host import FakeHost, fake_host
from support.wait import until

import kju
from kju.errors import PeerError
from kju.host import control
from kju.protocol import messages
from kju.protocol.framing import ClientSide
from kju.store import running


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as made:
        yield made


def connect(count: int) -> list[socket.socket]:
    return [running.connect(running.find("fake"), "fake", 10.0) for _ in range(count)]


def close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


def test_silent_clients_do_not_block_others(host: FakeHost) -> None:
    silent = connect(control.MAX_CLIENTS + 20)
    try:
        began = time.monotonic()
        with kju.attach("fake") as machine:
            assert machine.info()["name"] == "fake"
            assert time.monotonic() - began < control.GREETING_TIMEOUT / 2
            # A greeted client keeps its place, however many connect.
            silent += connect(control.MAX_CLIENTS)
            with kju.attach("fake") as another:
                another.info()
            machine.info()
    finally:
        close(silent)


def test_silent_client_is_disconnected(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "GREETING_TIMEOUT", 0.05)
    (silent,) = connect(1)
    with silent:
        said = silent.recv(1000)
        assert b"not greeted in 0.05 s" in said
        assert silent.recv(1000) == b""
    with kju.attach("fake") as machine:
        until(lambda: len(host.machine.gone) == 1, "the silent client is disconnected")
        time.sleep(0.1)  # longer than a greeting may take
        machine.info()


def test_places_are_reserved_for_control_clients(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MAX_VIEWERS", 3)
    viewers = [kju.attach("fake", role="view") for _ in range(3)]
    try:
        with pytest.raises(PeerError, match="3 viewers already"):
            kju.attach("fake", role="view")
        with kju.attach("fake") as machine:
            machine.info()
        viewers.pop().close()

        def comes() -> bool:
            try:
                viewers.append(kju.attach("fake", role="view"))
            except PeerError:
                return False
            return True

        until(comes, "a viewer's place is free again")
    finally:
        for viewer in viewers:
            viewer.close()


def test_a_release_is_carried_out_though_its_client_cancels_it(host: FakeHost) -> None:
    """The cancellation is read together with the request, before that has begun."""
    side = ClientSide()
    (raw,) = connect(1)
    with raw:
        _, hello = side.request(messages.Hello(role="control"))
        _, press = side.request(messages.Keys(steps=[(30, True)]))
        raw.sendall(hello + press)
        until(lambda: host.machine.steps == [(30, True)], "the key is down")
        typed, chord = side.request(messages.Keys(steps=[(31, True), (31, False)]))
        released, release = side.request(messages.Keys(steps=[(30, False)]))
        raw.sendall(chord + side.cancel(typed) + release + side.cancel(released))
        until(lambda: len(host.machine.steps) > 1, "the key is up")
        assert host.machine.steps == [(30, True), (30, False)]
