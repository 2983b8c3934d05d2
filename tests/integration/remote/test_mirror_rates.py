"""Rates of a screen's mirrors over zenoh: each states its own, and the fastest one decides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import numpy as np
import pytest
from support.link_scene import NAME, OpenLink, Screen, new_screen, shows
from support.wait import until_async
from support.wire_scene import surface

from kju.remote.mirror import Mirror
from kju.serving import served_viewers
from kju.serving.served_viewers import MAX_RATE
from kju.wire import messages, sender_session
from kju.wire.greeting import Stage

pytest.importorskip("zenoh")


@contextlib.asynccontextmanager
async def animated(screen: Screen) -> AsyncIterator[None]:
    """Draw in one place as often as the loop allows, 50 times a second at most."""
    rng = np.random.default_rng(1)

    async def run() -> None:
        while True:
            pixels = screen.producer.pixels.copy()
            pixels[20:80, 20:80] = rng.integers(0, 256, (60, 60, 4))
            screen.producer.compare(np.ascontiguousarray(pixels))
            screen.changed()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(run())
    try:
        yield
    finally:
        task.cancel()


async def test_fastest_mirror_decides_and_each_gets_its_own_updates(open_link: OpenLink) -> None:
    screen = new_screen()
    _, there, _ = await open_link(screen)
    fast, slow, unviewed = (Mirror(there, NAME, surface()) for _ in range(3))
    slow.set_rate(2.0)
    unviewed.set_rate(0.0)
    for each in (slow, unviewed, fast):
        await each.open(60)
    assert screen.rates[-1] is None  # the host's own pace
    async with animated(screen):
        before = [each.received for each in (fast, slow, unviewed)]
        await until_async(lambda: fast.received > before[0] + 500_000)
        got = [
            each.received - old for each, old in zip((fast, slow, unviewed), before, strict=True)
        ]
        assert got[1] * 3 < got[0]
        assert got[2] < 2_000  # pings
        fast.close()
        await until_async(lambda: screen.rates[-1] == 2.0)
        slow.set_rate(4.0)
        await until_async(lambda: screen.rates[-1] == 4.0)
        slow.set_rate(1000.0)
        await until_async(lambda: screen.rates[-1] == MAX_RATE)
        slow.set_rate(0.0)
        await until_async(lambda: screen.rates[-1] == 0.0)
        unviewed.set_rate(None)
        await unviewed.shown(60)
    await until_async(lambda: shows(unviewed._target, screen))  # type: ignore[arg-type]
    for each in (slow, unviewed):
        each.close()


async def test_picture_is_of_now_when_a_mirror_is_viewed_again(open_link: OpenLink) -> None:
    screen, rng = new_screen(), np.random.default_rng(1)
    _, there, served = await open_link(screen)
    target = surface()
    mirror = Mirror(there, NAME, target)
    mirror.set_rate(0.0)
    await mirror.open(60)
    for rate in (0.2, None):
        screen.draw(rng)
        await until_async(lambda: served.registry.rate() == 0.0)
        assert not shows(target, screen)
        assert mirror.status.live
        mirror.set_rate(rate)
        await mirror.shown(60)
        assert shows(target, screen)
        mirror.set_rate(0.0)
    mirror.close()


async def test_rate_holds_in_the_next_session(open_link: OpenLink) -> None:
    screen = new_screen()
    _, there, served = await open_link(screen)
    mirror = Mirror(there, NAME, surface())
    await mirror.open(60)
    mirror.set_rate(2.0)
    await until_async(lambda: screen.rates[-1:] == [2.0])
    first = next(iter(served.registry.viewers))
    served.registry.viewers[first].sender.refuse("again")
    await until_async(
        lambda: mirror.receiver.stage is Stage.OPEN and not served.registry.get(first)
    )
    await until_async(lambda: served.registry.rate() == 2.0)
    assert {each.sender.pace.rate for each in served.registry.all()} == {2.0}
    mirror.close()


async def test_audience_gets_the_rate_of_its_fastest_member(open_link: OpenLink) -> None:
    screen = new_screen()
    _, there, served = await open_link(screen)
    targets = [surface(), surface()]
    members = [Mirror(there, NAME, each, "view", audience=True) for each in targets]
    for each, rate in zip(members, (2.0, 4.0), strict=True):
        each.set_rate(rate)
        await each.open(60)
    assert served._audience is not None
    pace = served._audience.sender.pace
    assert (pace.rate, screen.rates[-1]) == (4.0, 4.0)
    members[1].close()
    await until_async(lambda: (pace.rate, screen.rates[-1]) == (2.0, 2.0))
    screen.draw(np.random.default_rng(1))
    await until_async(lambda: shows(targets[0], screen))
    members[0].set_rate(None)
    await members[0].shown(60)
    assert (pace.rate, screen.rates[-1]) == (None, None)
    members[0].close()


async def test_older_sender_gets_no_rates(
    open_link: OpenLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(*fields: object) -> messages.SessionWelcome:
        return messages.SessionWelcome(*fields[:8])  # type: ignore[arg-type]

    monkeypatch.setattr(sender_session, "SessionWelcome", older)
    screen = new_screen()
    _, there, served = await open_link(screen)
    mirror = Mirror(there, NAME, surface())
    await mirror.open(60)
    mirror.set_rate(2.0)
    await mirror.shown(60)
    await asyncio.sleep(0)
    (viewer,) = served.registry.all()
    assert viewer.sender.rate_number == 0
    assert mirror.status.live
    mirror.close()


async def test_older_viewer_is_sent_everything(
    open_link: OpenLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = new_screen()
    _, there, _ = await open_link(screen)
    mirror = Mirror(there, NAME, surface())
    hello = messages.encode(messages.SessionHello(1, "view", ["zstd"], 1000, rate=2.0))
    fields = msgspec.msgpack.decode(hello)
    old = messages.decode_from_viewer(msgspec.msgpack.encode(fields[:10]))
    assert isinstance(old, messages.SessionHello)
    assert old.rate is None
    await mirror.open(60)
    assert screen.rates in ([], [None])
    mirror.close()


async def test_many_changes_of_a_rate_reach_the_host_rarely(
    open_link: OpenLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_viewers, "MIN_INTERVAL", 0.2)
    screen = new_screen()
    _, there, _ = await open_link(screen)
    mirror = Mirror(there, NAME, surface())
    await mirror.open(60)
    for rate in range(1, 100):
        mirror.set_rate(float(rate))
        await asyncio.sleep(0.001)
    await until_async(lambda: screen.rates[-1:] == [99.0])
    assert len(screen.rates) < 20
    mirror.close()
