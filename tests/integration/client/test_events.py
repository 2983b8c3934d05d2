"""Events on a client's connection: ordered, bounded, and independent of answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_host import FakeHost, fake_host
from support.wait import until

from kju.client import requests
from kju.client.aio.link import AsyncLink
from kju.client.link import Link
from kju.errors import ClosedError, MachineGoneError, UsageError, WaitTimeoutError
from kju.protocol.framing import MAX_EVENTS
from kju.protocol.messages import Done, GetInfo, Happened, Info, Refresh

pytestmark = pytest.mark.usefixtures("runtime_folder")


@pytest.fixture
def host(runtime_folder: Path) -> Iterator[FakeHost]:
    with fake_host() as running:
        yield running


@pytest.fixture
def link(host: FakeHost) -> Iterator[Link]:
    made = Link.attach("fake", "view", "t")
    yield made
    made.close()


def happened(number: int) -> Happened:
    return Happened(sequence=number, time=1.5, event="reset", data={"reason": "x" * 50})


def soon() -> float:
    return time.monotonic() + 10


def test_events_arrive_in_order(host: FakeHost, link: Link) -> None:
    for number in (1, 2, 3):
        host.say(happened(number))
    assert [link.next_event(soon()).sequence for _ in range(3)] == [1, 2, 3]
    with pytest.raises(WaitTimeoutError):
        link.next_event(time.monotonic() + 0.01)


def test_unread_events_are_limited_and_a_gap_is_reported(host: FakeHost, link: Link) -> None:
    for number in range(1, MAX_EVENTS + 101):
        host.say(happened(number))
    assert link.ask(GetInfo(), Info).info["name"] == "fake"
    until(lambda: link.ask(GetInfo(), Info) and len(link._side.happened) == MAX_EVENTS)
    assert link.next_event(soon()).sequence == 101


def test_thread_waits_for_events_while_another_sends_requests(host: FakeHost, link: Link) -> None:
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(link.next_event(soon()).sequence))
    waiting.start()
    asking = threading.Thread(target=lambda: link.ask(Refresh(), Done))
    asking.start()
    until(lambda: host.machine.waiting == 1)
    host.say(happened(7))
    waiting.join(10)
    assert got == [7]
    host.machine.block.set()
    asking.join(10)
    assert not asking.is_alive()


def test_end_follows_the_last_event(host: FakeHost, link: Link) -> None:
    host.say(happened(1))
    host.end()
    assert link.next_event(None).sequence == 1
    with pytest.raises(MachineGoneError):
        link.next_event(None)


def test_close_ends_a_wait_for_events(link: Link) -> None:
    errors: list[Exception] = []

    def wait() -> None:
        try:
            link.next_event(None)
        except ClosedError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: link._reading)
    link.close()
    waiting.join(10)
    assert len(errors) == 1


async def test_asyncio_receives_events(host: FakeHost) -> None:
    link = await AsyncLink.attach("fake", "view", "t")
    with pytest.raises(WaitTimeoutError, match="fake"):
        await link.next_event(0.01)
    for number in range(1, MAX_EVENTS + 3):
        host.say(happened(number))
    await link.ask(GetInfo(), Info)
    assert (await link.next_event(10)).sequence == 3
    assert len(link._side.happened) < MAX_EVENTS
    host.end()
    with pytest.raises(MachineGoneError):
        while True:
            await link.next_event(10)
    link.close()


def test_invalid_requests_are_rejected_before_they_are_sent() -> None:
    with pytest.raises(UsageError, match="'7' cannot be a snapshot's name"):
        requests.snapshot_request("save", "7")
    assert requests.snapshot_request("load", "2026-11-23").tag == "2026-11-23"
    with pytest.raises(UsageError, match="arguments of x cannot be written as JSON"):
        requests.execute_request("x", {"a": object()})
