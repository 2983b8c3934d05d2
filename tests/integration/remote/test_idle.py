"""Remote screens at rest: who wakes, and how often."""

from __future__ import annotations

import asyncio
from asyncio.events import Handle

import pytest
from support.fake_host import fake_host
from support.link_scene import NAME, OpenLink, new_screen
from support.wait import until_async
from support.wire_scene import surface

from kju.remote.mirror import Mirror
from kju.serving.shared_screen import ConsoleOrigin
from kju.surface.geometry import Rect
from kju.wire.update_pace import QUIET_TIME

zenoh = pytest.importorskip("zenoh")
SECONDS = 4.0


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count what the event loop runs: timers and callbacks of other threads."""
    count = [0]
    run = Handle._run

    def counted(handle: Handle) -> None:
        count[0] += 1
        run(handle)

    monkeypatch.setattr(Handle, "_run", counted)
    return count


@pytest.mark.parametrize(("rate", "pings"), [(None, SECONDS / QUIET_TIME + 1), (2.0, 2)])
async def test_idle_viewers_and_their_sender_wake_for_pings_only(
    rate: float | None, pings: float, turns: list[int], open_link: OpenLink
) -> None:
    screen = new_screen()
    _, there, served = await open_link(screen)
    mirrors = [Mirror(there, NAME, surface()) for _ in range(6)]
    for each in mirrors:
        each.set_rate(rate)
        await each.open(60)
    await until_async(lambda: all(each.status.live for each in mirrors))
    await asyncio.sleep(1.0)  # the greetings' last timers
    before, sent, received = turns[0], served.delivery.sent, [each.received for each in mirrors]
    await asyncio.sleep(SECONDS)
    messages = len(mirrors) * pings
    # A ping is made by a timer, arrives, is answered, and both ends plan the next one.
    assert turns[0] - before <= 8 * messages + 4 * SECONDS
    assert served.delivery.sent - sent <= 40 * messages
    for each, old in zip(mirrors, received, strict=True):
        assert each.received - old <= 40 * pings
        assert each.status.live
        each.close()


async def test_a_screen_without_changes_is_not_reported_again() -> None:
    with fake_host("rest") as host:
        host.machine.block.set()
        reports = [0]

        def note() -> None:
            reports[0] += 1

        origin = ConsoleOrigin("rest", 0)
        await origin.open(note)
        try:
            await until_async(lambda: reports[0] == 1)
            await asyncio.sleep(2.5)  # longer than it waits for one change
            assert reports[0] == 1
            host.machine.producer.draw(Rect(0, 0, 1, 1), b"abcd")
            await until_async(lambda: reports[0] == 2)
            version = origin.consumer.reader.cursor_version
            for x in range(100):
                host.machine.producer.move_cursor(x, 4, True)
            await until_async(
                lambda: reports[0] > 2 and origin.consumer.reader.cursor_version == version + 100
            )
            host.machine.producer.draw(Rect(0, 0, 1, 1), b"efgh")
            before = reports[0]
            await until_async(lambda: reports[0] > before)
        finally:
            origin.close()
