"""The thread of a mirror that draws: it delays no input and no message."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.link_scene import (
    NAME,
    OpenLink,
    engine,
    free_port,
    new_screen,
    outlet,
    shows,
)
from support.wait import until_async
from support.wire_scene import surface

from kju.emulators.mirror.console import MirrorConsole, MirrorSurface, mirror_devices
from kju.errors import KjuError
from kju.protocol.values import Request
from kju.remote.mirror import Mirror
from kju.remote.transport import MAX_QUEUED
from kju.surface import Mark, State

pytest.importorskip("zenoh")


async def test_long_drawing_does_not_delay_inputs(open_link: OpenLink) -> None:
    """While a client holds the pixels, drawing waits and inputs are answered."""
    rng, screen, target = np.random.default_rng(1), new_screen(), surface()
    there = (await open_link(screen)).there
    viewer = Mirror(there, NAME, target)
    await viewer.open(60)
    await until_async(lambda: shows(target, screen))
    assert target.hold()
    before = target.pixels.copy()
    screen.draw(rng)
    await until_async(lambda: viewer._queue._in_thread is not None)
    for _ in range(3):
        screen.draw(rng)
        await asyncio.sleep(0.05)
    assert viewer.status.live
    assert np.array_equal(target.pixels, before)
    target.unhold()
    await until_async(lambda: shows(target, screen))
    assert (await viewer.input(b"a key"))[0]
    viewer.close()
    await viewer.drawing_finished()


async def test_event_loop_does_not_read_state_that_the_drawing_thread_changes(
    caplog: pytest.LogCaptureFixture, open_link: OpenLink
) -> None:
    """The thread that draws a message changes the record of lost segments without a lock."""
    loop_read = []

    class Lost(dict[int, float]):
        def values(self) -> Any:
            if threading.current_thread() is threading.main_thread():
                loop_read.append(viewer._queue.receiver)
            return super().values()

    viewer: Mirror
    rng, screen, target = np.random.default_rng(1), new_screen(), surface()
    there = (await open_link(screen)).there
    viewer = Mirror(there, NAME, target)
    await viewer.open(60)
    await until_async(lambda: shows(target, screen))
    assert target.hold()
    screen.draw(rng)
    await until_async(lambda: viewer._queue._in_thread is not None)
    viewer.receiver.ack_state._lost = Lost()
    viewer._tick()
    assert not loop_read
    target.unhold()
    await until_async(lambda: shows(target, screen))
    viewer.close()
    await viewer.drawing_finished()


async def test_pixels_that_a_client_holds_are_not_changed(tmp_path: Path) -> None:
    """Between the begin and the end of a publication the thread writes pixels without a lock."""

    async def never(request: Request) -> Mark:
        raise AssertionError(request)

    place = f"tcp/127.0.0.1:{free_port()}"
    rng, screen = np.random.default_rng(1), new_screen()
    reached, go_on = threading.Event(), threading.Event()
    mirrors: list[Mirror] = []
    surface = MirrorSurface(
        0,
        str(tmp_path / "surface"),
        lambda console, producer: None,
        lambda: mirrors[0] if mirrors else None,
    )
    console = MirrorConsole(surface, NAME, mirror_devices(never))
    await console.open()
    target = console.source
    assert target is not None
    begin = target.begin

    def late() -> None:
        begin()
        reached.set()
        assert go_on.wait(15)

    target.begin = late  # type: ignore[method-assign]
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        outlet(here, screen),
    ):  # fmt: skip
        go_on.set()
        viewer = Mirror(there, NAME, target)
        mirrors.append(viewer)
        await viewer.open(60)
        await until_async(lambda: shows(target, screen))  # type: ignore[arg-type]
        go_on.clear()
        reached.clear()
        screen.draw(rng)
        await until_async(reached.is_set)
        first = asyncio.create_task(console.surface.hold("first", 30))
        gone = asyncio.create_task(console.surface.hold("gone", 30))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.sleep(0)
        assert not first.done()
        go_on.set()
        await first
        before = target.pixels.copy()
        with pytest.raises(KjuError, match="held for another"):
            await console.surface.hold("second", 30)
        screen.draw(rng)
        await until_async(lambda: bool(viewer._queue._waiting))
        assert viewer._queue._in_thread is None
        assert np.array_equal(target.pixels, before)
        console.surface.unhold("first")
        await until_async(lambda: shows(target, screen))  # type: ignore[arg-type]
        viewer.close()
        await viewer.drawing_finished()
    console.stop(State.CLOSED, "over")


async def test_messages_for_a_busy_event_loop_are_limited() -> None:
    """Messages over the limit are dropped when a peer sends faster than the loop reads."""
    place = f"tcp/127.0.0.1:{free_port()}"
    async with engine(listen=[place]) as here, engine(connect=[place]) as there:
        taken: list[bytes] = []
        there.subscribe("kju/flood", lambda key, data: taken.append(data))
        while not taken:  # until the subscription has reached the peer
            here.put_reliable("kju/flood", b"first")
            await asyncio.sleep(0.05)
        here.put_reliable("kju/flood", b"start")
        await until_async(lambda: taken[-1] == b"start")  # no other message is in flight
        taken.clear()
        count, arrived = 3 * MAX_QUEUED, threading.Event()
        watch = there.session.declare_subscriber("kju/last", lambda _: arrived.set())
        for number in range(count):
            here.put_reliable("kju/flood", number.to_bytes(4))
        here.put_reliable("kju/last", b"")
        assert arrived.wait(60)  # the loop is blocked until all have arrived
        await until_async(lambda: len(taken) >= MAX_QUEUED)
        await asyncio.sleep(0)
        assert len(taken) == MAX_QUEUED
        assert taken == sorted(taken)
        here.put_reliable("kju/flood", b"later")  # there is room again
        await until_async(lambda: taken[-1] == b"later")
        watch.undeclare()
