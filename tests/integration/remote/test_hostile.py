"""Hostile peers: invalid, silent and numerous viewers."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.link_scene import (
    NAME,
    OpenLink,
    act,
    engine,
    free_port,
    new_screen,
    outlet,
    shows,
)
from support.trusting import make_user
from support.wait import until_async
from support.wire_scene import surface

from kju.errors import UnavailableError, UsageError
from kju.remote import addresses
from kju.remote import mirror as mirror_module
from kju.remote.mirror import Mirror
from kju.remote.proof import Authenticator, Prover
from kju.remote.transport import Engine
from kju.remote.trust import Trust
from kju.serving import audience as audience_module
from kju.serving import served_viewers
from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import ServedScreen
from kju.serving.zenoh_carrier import ZenohCarrier
from kju.wire import sender_session as sender_module
from kju.wire.greeting import Admission
from kju.wire.messages import Ack, Goodbye, InputDone, SessionHello, ViewerInput, encode

pytest.importorskip("zenoh")
pytest.importorskip("cryptography")
HELLO = SessionHello(1, "view", ["zstd"], 1 << 20)


def says(where: Engine, message: object, number: str = "") -> str:
    """Send a message as a viewer without a session, and return the viewer's number."""
    number = number or os.urandom(16).hex()
    where.put_reliable(addresses.from_viewer(NAME, number), encode(message))  # type: ignore[arg-type]
    return number


async def test_others_on_the_network_cannot_read_or_forge_messages(lab: Trust) -> None:
    """A peer that a router admits receives every message and may send any."""
    secret, acted = b"the password is secret", []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        acted.append(body)
        return InputDone(1, 1, 5)

    place = f"tcp/127.0.0.1:{free_port()}"
    rng, screen = np.random.default_rng(1), new_screen()
    heard: list[tuple[str, bytes]] = []
    targets = [surface() for _ in range(3)]
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        engine(connect=[place]) as eve,
        outlet(here, screen, Authenticator(lab, NAME), note) as served,
    ):  # fmt: skip
        eve.subscribe("kju/**", lambda key, data: heard.append((key, data)))
        ann = Mirror(there, NAME, targets[0], user="ann", prove=Prover(lab, "ann", NAME))
        crowd = [
            Mirror(there, NAME, each, "view", user="vic", prove=Prover(lab, "vic", NAME),
                  audience=True) for each in targets[1:]
        ]  # fmt: skip
        for each in (ann, *crowd):
            await each.open(60)
        assert await ann.input(secret)
        screen.draw(rng)
        await until_async(lambda: all(shows(each, screen) for each in targets))
        assert not any(secret in data for _, data in heard)
        numbers = {addresses.viewer_of(key) for key, _ in heard}
        assert len(numbers) == 4  # two of an audience, the audience, and ann
        strange, before = [], served._on_invalid
        served._on_invalid = lambda *what: (strange.append(what), before(*what))  # type: ignore[assignment, method-assign, misc]
        again = [data for key, data in heard if key.startswith("kju/from")]
        for key, data in heard:
            eve.put_reliable(key, data)
        lies = [
            Goodbye("bye"),
            SessionHello(1, "control", ["zstd"], 1000, "ann"),
            ViewerInput(9, b"key"),
        ]
        for number in numbers:
            for lie in lies:
                eve.put_reliable(addresses.from_viewer(NAME, number), encode(lie))
                eve.put_reliable(addresses.to_viewer(NAME, number), encode(lie))
                eve.put_reliable(addresses.to_audience(NAME, number), encode(lie))
        # Replay the recorded messages to the sender, and forge two to each of three sessions.
        await until_async(lambda: len(strange) >= len(again) - 3 + 3 * 2)
        sessions = {*served.registry.viewers, *served.registry.members}
        screen.draw(rng)
        await until_async(lambda: all(shows(each, screen) for each in targets))
        assert await ann.input(b"another key")
        assert acted == [secret, b"another key"]
        assert {*served.registry.viewers, *served.registry.members} == sessions
        assert all(each.status.live for each in (ann, *crowd))
        for each in (ann, *crowd):
            each.close()


async def test_another_member_leads_when_the_leader_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audience_module, "LEADER_TIMEOUT", 0.5)
    monkeypatch.setattr(mirror_module, "RESTART_REQUEST_INTERVAL", 0.3)
    monkeypatch.setattr(sender_module, "RESTART_INTERVAL", 0.2)
    place = f"tcp/127.0.0.1:{free_port()}"
    rng, screen, target = np.random.default_rng(1), new_screen(), surface()
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        engine(connect=[place]) as mute, outlet(here, screen) as served,
    ):  # fmt: skip
        first = Mirror(mute, NAME, surface(), "view", audience=True)
        await first.open(60)
        second = Mirror(there, NAME, target, "view", audience=True)
        await second.open(60)
        assert first.receiver.leads
        mute.put = mute.put_reliable = lambda *what, **how: None  # type: ignore[method-assign]
        for _ in range(20):
            screen.draw(rng)
            await asyncio.sleep(0.02)
        await until_async(lambda: shows(target, screen))
        assert second.receiver.leads
        assert len(served.registry.members) == 2
        second.close()
        first.close()


async def test_leader_that_leaves_with_a_full_window_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next leader reports the segments in flight as missing: that must empty the window."""
    monkeypatch.setattr(mirror_module, "RESTART_REQUEST_INTERVAL", 0.3)
    monkeypatch.setattr(sender_module, "RESTART_INTERVAL", 0.2)
    place = f"tcp/127.0.0.1:{free_port()}"
    rng, screen = np.random.default_rng(1), new_screen()
    targets = [surface(), surface()]
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        engine(connect=[place]) as mute, outlet(here, screen) as served,
    ):  # fmt: skip
        first = Mirror(mute, NAME, surface(), "view", audience=True)
        await first.open(60)
        screen.draw(rng)
        await until_async(lambda: first.receiver.picture.complete_version > 1)
        put, mute.put = mute.put, lambda *what, **how: None  # type: ignore[method-assign]
        for _ in range(30):
            screen.draw(rng)
            await asyncio.sleep(0.01)
        window = served._audience.sender.outgoing.window
        await until_async(lambda: window.in_flight >= window.size(served._loop.time()))
        others = [Mirror(there, NAME, each, "view", audience=True) for each in targets]
        for each in others:
            await each.open(1)
        mute.put = put  # type: ignore[method-assign]
        first.close()
        await until_async(lambda: all(shows(each, screen) for each in targets))
        for each in others:
            each.close()


async def test_invalid_acknowledgement_ends_only_its_member(open_link: OpenLink) -> None:
    rng, screen, target = np.random.default_rng(1), new_screen(), surface()
    _, there, served = await open_link(screen)
    liar = says(there, SessionHello(1, "view", ["zstd"], 1 << 20, audience=True))
    await until_async(lambda: liar in served.registry.members)
    viewer = Mirror(there, NAME, target, "view", audience=True)
    await viewer.open(1)
    says(there, Ack(1 << 50), liar)
    await until_async(lambda: liar not in served.registry.members)
    screen.draw(rng)
    await until_async(lambda: shows(target, screen))
    assert len(served.registry.members) == 1
    viewer.close()


async def test_viewer_that_answers_nothing_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its liveliness token does not count, as any peer can declare it."""
    monkeypatch.setattr(served_viewers, "VIEWER_TIMEOUT", 1.5)
    gone: list[ServedViewer] = []
    place = f"tcp/127.0.0.1:{free_port()}"
    screen = new_screen()
    async with engine(listen=[place]) as here, engine(connect=[place]) as there:
        served = ServedScreen(
            ZenohCarrier(here, NAME), screen, lambda h, raw: Admission(h.role), act, gone.append
        )
        served.open()
        viewer = Mirror(there, NAME, surface())
        await viewer.open(60)
        silent = says(there, HELLO)
        there.declare_token(addresses.viewer_token(NAME, silent))
        await until_async(lambda: silent in served.registry.viewers)
        await until_async(lambda: silent not in served.registry.viewers)
        assert [each.id for each in gone] == [silent]
        assert len(served.registry.viewers) == 1
        viewer.close()
        served.close("over")


@pytest.mark.parametrize("kind", ["plain", "sealed"])
async def test_viewers_are_admitted_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, lab: Trust, kind: str, open_link: OpenLink
) -> None:
    monkeypatch.setattr(served_viewers, "MAX_GREETING", 8)
    monkeypatch.setattr(served_viewers, "MAX_VIEWERS", 10)
    opened = asyncio.Event()
    screen, target = new_screen(), surface()
    plain = screen.open

    async def late(changed: Callable[[], None]) -> None:
        await opened.wait()
        await plain(changed)

    screen.open = late  # type: ignore[method-assign]
    key = Prover(lab, "ann", NAME)().key
    hello = HELLO if kind == "plain" else SessionHello(1, "view", ["zstd"], 1000, "ann", key)
    admit = Authenticator(lab, NAME) if kind == "sealed" else lambda h, raw: Admission(h.role)
    _, there, served = await open_link(screen, admit)
    for _ in range(200):
        says(there, hello)
    await until_async(lambda: len(served.registry.starting) == 8)
    assert len(served._jobs) == 8
    opened.set()
    await until_async(lambda: len(served.registry.viewers) >= 8)
    for _ in range(50):
        says(there, hello)
    if kind == "plain":
        await until_async(lambda: len(served.registry.viewers) == 10)
    else:  # the oldest without a proof is removed
        ann = Mirror(there, NAME, target, user="ann", prove=Prover(lab, "ann", NAME))
        await ann.open(60)
        assert len(served.registry.viewers) <= 9
        ann.close()


async def test_control_viewer_counts_toward_the_limit_of_viewers(
    monkeypatch: pytest.MonkeyPatch,
    open_link: OpenLink,
) -> None:
    """A hello for the audience with the control role does not make a member."""
    monkeypatch.setattr(served_viewers, "MAX_VIEWERS", 2)
    _, there, served = await open_link(new_screen())
    for _ in range(2):
        says(there, HELLO)
    await until_async(lambda: len(served.registry.viewers) == 2)
    greedy = Mirror(there, NAME, surface(), audience=True)
    with pytest.raises(UnavailableError, match="no room for another viewer"):
        await greedy.open(60)
    member = Mirror(there, NAME, surface(), "view", audience=True)
    await member.open(60)
    assert (len(served.registry.viewers), len(served.registry.members)) == (2, 1)
    for each in (greedy, member):
        each.close()


async def test_viewers_get_no_details_of_a_screen_that_cannot_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    place, screen = f"tcp/127.0.0.1:{free_port()}", new_screen()

    async def fails(changed: Callable[[], None]) -> None:
        raise UsageError("/root/secret is missing")

    screen.open = fails  # type: ignore[method-assign]
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        outlet(here, screen),
    ):  # fmt: skip
        viewer = Mirror(there, NAME, surface())
        with pytest.raises(UnavailableError, match="is unavailable: see") as refused:
            await viewer.open(60)
        assert "secret" not in str(refused.value)
        viewer.close()
    assert "/root/secret is missing" in caplog.text


async def test_mirrors_of_one_user_are_limited(
    monkeypatch: pytest.MonkeyPatch, lab: Trust, open_link: OpenLink
) -> None:
    monkeypatch.setattr(served_viewers, "MAX_VIEWERS_PER_USER", 2)
    monkeypatch.setattr(mirror_module, "RECONNECT_TIME", 30.0)
    screen = new_screen()
    _, there, served = await open_link(screen, Authenticator(lab, NAME))
    users = ["vic", "ann", "ann", "ann"]
    inlets = [
        Mirror(there, NAME, surface(), user=user, prove=Prover(lab, user, NAME)) for user in users
    ]
    for each in inlets:
        await each.open(60)
    assert [each.sender.user for each in served.registry.viewers.values()] == [
        "vic",
        "ann",
        "ann",
    ]
    await until_async(lambda: "more than 2 mirrors" in inlets[1].receiver.reason)
    for each in inlets:
        each.close()


async def test_rejected_viewer_opens_no_screen_and_is_logged_once(
    lab: Trust, caplog: pytest.LogCaptureFixture
) -> None:

    with caplog.at_level(logging.WARNING):
        place = f"tcp/127.0.0.1:{free_port()}"
        screen = new_screen()
        async with (
            engine(listen=[place]) as here, engine(connect=[place]) as there,
            outlet(here, screen, Authenticator(lab, NAME)),
        ):  # fmt: skip
            for _ in range(20):
                says(there, SessionHello(1, "view", ["zstd"], 1000, "eve\x1b[2J", bytes(range(32))))
            eve = Mirror(there, NAME, surface(), user="eve")
            with pytest.raises(UnavailableError, match="requires authentication"):
                await eve.open(60)
            eve.close()
            assert screen.looks == 0
    told = [each.getMessage() for each in caplog.records]
    assert sum("does not know user" in each for each in told) == 1
    assert all(each.isprintable() for each in told)


async def test_rejection_of_the_sender_is_logged_at_the_sender(
    lab: Trust, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Trust(tmp_path / "other")
    other.make_authority("another")
    make_user(other, "ann")

    with caplog.at_level(logging.WARNING):
        place = f"tcp/127.0.0.1:{free_port()}"
        async with (
            engine(listen=[place]) as here, engine(connect=[place]) as there,
            outlet(here, new_screen(), Authenticator(lab, NAME)),
        ):  # fmt: skip
            ann = Mirror(there, NAME, surface(), user="ann", prove=Prover(other, "ann", NAME))
            with pytest.raises(UnavailableError, match="proof is not valid"):
                await ann.open(60)
            await until_async(lambda: "not authenticated" in caplog.text)
            ann.close()
    assert "from another authority" in caplog.text


async def test_pings_alone_do_not_keep_a_picture_live(open_link: OpenLink) -> None:
    """The sender may retransmit for two seconds before it pings."""
    rng, screen, target = np.random.default_rng(1), new_screen(), surface()
    here, there, _ = await open_link(screen)
    viewer = Mirror(there, NAME, target)
    await viewer.open(60)
    screen.draw(rng)
    await until_async(lambda: shows(target, screen))
    put = here.put
    here.put = lambda key, data, **how: len(data) < 60 and put(key, data, **how)  # type: ignore[method-assign]
    screen.draw(rng)
    await until_async(lambda: not viewer.status.live)
    assert "are missing" in viewer.status.reason
    del here.put
    await until_async(lambda: viewer.status.live and shows(target, screen))
    viewer.close()


async def test_input_after_a_reconnection_has_a_mark_of_the_new_session(
    open_link: OpenLink,
) -> None:
    rng, screen, target = np.random.default_rng(1), new_screen(), surface()
    _, there, served = await open_link(screen)
    viewer = Mirror(there, NAME, target)
    await viewer.open(60)
    for _ in range(20):
        screen.draw(rng)
        await asyncio.sleep(0.01)
    await until_async(lambda: shows(target, screen))
    version = target.version
    served._end_all("begin again")
    await until_async(lambda: viewer.status.live and bool(served.registry.viewers))
    mark, _ = await viewer.input(b"a key")  # done at the sender's version 5
    assert mark >= version
    viewer.close()


async def test_oversized_messages_are_not_assembled() -> None:
    place = f"tcp/127.0.0.1:{free_port()}"
    came: list[int] = []
    async with engine(listen=[place]) as here, engine(connect=[place]) as there:
        here.subscribe("kju/**", lambda key, data: came.append(len(data)))
        await asyncio.to_thread(there.session.put, "kju/x", bytes(60_000))
        await until_async(lambda: len(came) == 1)
        await asyncio.to_thread(there.session.put, "kju/x", bytes(50_000_000))

        def arrived() -> bool:
            # A link that is busy with the long message drops others: repeat until one has come.
            there.session.put("kju/x", bytes(59_000))
            return 59_000 in came

        await until_async(arrived)
        assert set(came) == {60_000, 59_000}


async def test_audience_has_a_limit(monkeypatch: pytest.MonkeyPatch, open_link: OpenLink) -> None:
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS", 2)
    _, there, served = await open_link(new_screen())
    crowd = [Mirror(there, NAME, surface(), "view", audience=True) for _ in range(3)]
    for each in crowd[:2]:
        await each.open(1)
    crowd[2]._connect()
    await until_async(lambda: "is full" in crowd[2].receiver.reason)
    assert len(served.registry.members) == 2
    assert not served.registry.viewers
    for each in crowd:
        each.close()
