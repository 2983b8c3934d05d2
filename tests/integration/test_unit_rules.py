"""The guard of unit tests finds sockets and sleeps, those of other threads too."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable

import pytest
from support.unit_rules import violations
from support.wait import until


def sleep() -> None:
    time.sleep(0.001)


def sleep_in_a_thread() -> None:
    thread = threading.Thread(target=sleep)
    thread.start()
    thread.join()


def pair() -> None:
    for end in socket.socketpair():
        end.close()


def connect() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()):
        pass


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (sleep, "time.sleep"),
        (sleep_in_a_thread, "time.sleep"),
        (connect, "socket.connect"),
        (pair, "socket.__new__"),
    ],
)
def test_violation_is_found(call: Callable[[], object], kind: str) -> None:
    with violations() as found:
        call()
    assert any(place.startswith(f"{kind} at {__file__}:") for place in found), found


def test_event_loops_and_polling_are_allowed() -> None:
    turns = iter(range(4))
    with violations() as found:
        asyncio.run(asyncio.sleep(0))
        until(lambda: next(turns) == 3)
        time.sleep(0)
    assert found == []


def test_guard_is_off_after_the_block() -> None:
    before = time.sleep
    with violations() as found:
        assert time.sleep is not before
    time.sleep(0.001)
    connect()
    assert time.sleep is before
    assert found == []
