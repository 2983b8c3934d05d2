"""Viewers of a served screen that connect and leave, over a carrier without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("zenoh")

from support.link_scene import Screen, act, new_screen
from support.wait import until_async

from kju.serving import shared_screen
from kju.serving.served_screen import ServedScreen
from kju.web.carrier import WebCarrier
from kju.wire import messages
from kju.wire.greeting import Admission

HELLO = messages.encode(messages.SessionHello(1, "control", ["zstd"], 1000))


class Channel:
    """A channel of a page."""

    def has_room(self) -> bool:
        return True

    def send(self, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def serve(screen: Screen) -> tuple[WebCarrier, ServedScreen]:
    carrier = WebCarrier("debian")
    served = ServedScreen(carrier, screen, lambda hello, raw: Admission(hello.role), act)
    served.open()
    return carrier, served


async def test_a_viewer_that_leaves_before_its_session_begins_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_screen, "GRACE_TIME", 0.0)
    screen, may_open = new_screen(), asyncio.Event()
    plain = screen.open

    async def late(changed: Callable[[], None]) -> None:
        await may_open.wait()
        await plain(changed)

    screen.open = late  # type: ignore[method-assign]
    carrier, served = serve(screen)
    carrier.connect("a.1", Channel())
    carrier.receive("a.1", HELLO)
    assert list(served.registry.starting) == ["a.1"]
    carrier.disconnect("a.1")
    assert not served.registry.starting
    may_open.set()
    await until_async(lambda: not served._jobs)
    assert served.registry.all() == []
    await until_async(lambda: screen.looks == 1 and not screen.is_open)
    served.close("over")


async def test_a_screen_is_not_closed_while_a_viewer_connects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_screen, "GRACE_TIME", 0.0)
    screen, may_go_on = new_screen(), asyncio.Event()
    carrier, served = serve(screen)
    carrier.connect("a.1", Channel())
    carrier.receive("a.1", HELLO)
    await until_async(lambda: bool(served.registry.viewers))
    carrier.disconnect("a.1")

    async def slow(rate: float | None) -> None:
        await may_go_on.wait()

    screen.set_rate = slow  # type: ignore[method-assign]
    carrier.connect("a.2", Channel())
    carrier.receive("a.2", HELLO)
    served._check()
    served._check()
    assert screen.is_open
    may_go_on.set()
    await until_async(lambda: bool(served.registry.viewers))
    assert screen.looks == 1
    served.close("over")
