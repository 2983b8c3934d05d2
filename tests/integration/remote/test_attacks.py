"""Attacks on sessions over zenoh: by routers, by users that were removed, by crowds."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

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
    until,
)
from support.trusting import home
from support.wire_scene import surface

from kju.errors import InputError, UnavailableError
from kju.remote import addresses, mirror_link
from kju.remote import mirror as mirror_module
from kju.remote.addresses import Options, endpoint
from kju.remote.certificates import Kind
from kju.remote.mirror import Mirror
from kju.remote.proof import Authenticator, Prover
from kju.remote.transport import Engine
from kju.remote.trust import Trust
from kju.serving import audience as audience_module
from kju.serving import served_viewers
from kju.serving.served_viewers import ServedViewer
from kju.wire.greeting import Admission, Stage
from kju.wire.messages import Ack, Goodbye, InputDone, Role, SessionHello, SessionRefused, encode
from kju.wire.receiver_session import ReceiverSession

pytest.importorskip("zenoh")
pytest.importorskip("cryptography")


def viewer_of(where: Engine, trust: Trust, user: str = "ann", *, audience: bool = False) -> Mirror:
    """Return a mirror of the screen by this user."""
    role: Role = "view" if audience else "control"
    prove = Prover(trust, user, NAME)
    return Mirror(where, NAME, surface(), role, user=user, prove=prove, audience=audience)


def impostor(lab: Trust, tmp_path: Path, kind: Kind) -> Trust:
    """Return a host of the same authority that pretends to serve the screen."""
    made = Trust(tmp_path / "eve")
    made.import_bundle(lab.host_bundle("eve", ["eve"], kind))
    for suffix in ("pem", "key") if kind == "router" else ():
        (made.folder / f"router.{suffix}").rename(made.folder / f"host.{suffix}")
    made.set_role("ann", "control")
    return made


@pytest.mark.parametrize("kind", ["host", "router"])
async def test_an_impostor_that_answers_a_reconnection_receives_nothing(
    lab: Trust, tmp_path: Path, kind: Kind
) -> None:
    """A router drops the session and answers the next hello with its own certificate."""
    typed: list[bytes] = []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        typed.append(body)
        return InputDone(1, 1, 5)

    place = f"tcp/127.0.0.1:{free_port()}"
    ann = home(lab, "ann", tmp_path)
    router = await Engine.open(Options(listen=[endpoint(place)], router=True))
    async with engine(connect=[place]) as there:
        viewer = viewer_of(there, ann)
        async with (
            engine(connect=[place]) as here,
            outlet(here, new_screen(), Authenticator(lab, NAME)),
        ):
            await viewer.open(10)
            assert viewer.receiver.sender == "host1"
        eve = impostor(lab, tmp_path, kind)
        async with (
            engine(connect=[place]) as other,
            outlet(other, new_screen(), Authenticator(eve, NAME), note),
        ):
            why = "has changed" if kind == "host" else "is for a router"
            await until(lambda: why in viewer.receiver.hint)
            assert viewer.receiver.stage is not Stage.OPEN
            with pytest.raises(UnavailableError):
                await viewer.input(b"secret")
            await until(lambda: why in viewer.status.reason)
        async with (
            engine(connect=[place]) as here,
            outlet(here, new_screen(), Authenticator(lab, NAME)),
        ):
            await until(lambda: viewer.status.live)
        viewer.close()
    await router.close()
    assert typed == []


async def test_a_refusal_in_the_senders_name_does_not_keep_a_viewer_out(
    lab: Trust, tmp_path: Path, open_link: OpenLink
) -> None:
    """An attacker answers every hello first: only the sender's proof counts."""
    here, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    came = served._on_data

    def refused_first(key: str, data: bytes) -> None:
        number = addresses.viewer_of(key)
        if number not in served.registry.viewers:
            for lie in (SessionRefused("go away"), Goodbye("go away")):
                here.put_reliable(addresses.to_viewer(NAME, number), encode(lie))
        came(key, data)

    served._undo[0]()
    served._undo[0] = here.subscribe(addresses.from_viewer(NAME, "*"), refused_first)
    viewer = viewer_of(there, home(lab, "ann", tmp_path))
    await viewer.open(10)
    assert viewer.receiver.hint == "go away"
    assert viewer.status.live
    viewer.close()


@pytest.mark.parametrize("change", ["removed", "role", "expired"])
@pytest.mark.parametrize("audience", [False, True], ids=["alone", "audience"])
async def test_an_open_session_ends_with_the_right_to_it(
    lab: Trust,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    audience: bool,
    open_link: OpenLink,
) -> None:
    monkeypatch.setattr(served_viewers, "CHECK_INTERVAL", 0.1)
    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    viewer = viewer_of(there, home(lab, "ann", tmp_path), audience=audience)
    await viewer.open(10)
    session, receiver = (
        {**served.registry.viewers, **served.registry.members},
        viewer.receiver,
    )
    assert len(session) == 1
    if change == "removed":
        lab.remove("ann")
    elif change == "role":
        lab.set_role("ann", "view")
    else:
        now = lab._clock()
        monkeypatch.setattr(lab, "_clock", lambda: now.replace(year=now.year + 2))
    await until(lambda: not ({*session} & {*served.registry.viewers, *served.registry.members}))
    await until(lambda: receiver.stage is Stage.CLOSED)
    words = {"removed": "does not know", "role": "was changed", "expired": "expired"}[change]
    assert words in receiver.reason
    viewer.close()


async def test_an_input_that_timed_out_ends_the_session_and_is_not_done_later(
    monkeypatch: pytest.MonkeyPatch,
    open_link: OpenLink,
) -> None:
    """A router delays a key until its user has stopped waiting for it."""
    monkeypatch.setattr(mirror_module, "INPUT_TIMEOUT", 0.5)
    done: list[bytes] = []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        done.append(body)
        return InputDone(1, 1, 5)

    _, there, served = await open_link(new_screen(), act=note)
    viewer = Mirror(there, NAME, surface())
    await viewer.open(10)
    before, kept = viewer.receiver, []
    put, there.put_reliable = there.put_reliable, lambda *what: kept.append(what)  # type: ignore[method-assign]
    with pytest.raises(InputError, match="may have been carried out"):
        await viewer.input(b"rm -rf")
    assert before.stage is Stage.CLOSED
    there.put_reliable = put  # type: ignore[method-assign]
    first = next(iter(served.registry.viewers))
    await until(lambda: viewer.receiver is not before and viewer.status.live)
    # The goodbye was kept as well: released first, as a transport in order does it.
    for what in [*kept[1:], kept[0]]:
        there.put_reliable(*what)
    await until(lambda: first not in served.registry.viewers)
    await viewer.input(b"ls")
    assert done == [b"ls"]
    viewer.close()


@pytest.mark.parametrize("end", ["a forged presence", "silence"])
async def test_an_input_of_a_session_that_ended_is_not_done_in_the_next(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, open_link: OpenLink
) -> None:
    """A router delays a key, makes the viewer reconnect, and keeps the old session's token."""
    done: list[bytes] = []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        done.append(body)
        return InputDone(1, 1, 5)

    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME), note)
    viewer = viewer_of(there, home(lab, "ann", tmp_path))
    await viewer.open(10)
    served._undo.pop(1)()  # tokens
    before, kept = viewer.receiver, []
    (first,) = served.registry.viewers
    put, there.put_reliable = there.put_reliable, lambda *what: kept.append(what)  # type: ignore[method-assign]
    pending = asyncio.create_task(viewer.input(b"rm -rf"))
    await until(lambda: bool(kept))
    if end == "silence":
        silent_since = viewer._loop.time() - 3 * mirror_link.STALE_TIME - 1
        before.heard_at = viewer._times.started = silent_since
        viewer._tick()
    else:
        viewer._on_presence("", False)
        viewer._on_presence("", True)
    with pytest.raises(InputError, match="may have been carried out"):
        await pending
    assert first in served.registry.viewers
    there.put_reliable = put  # type: ignore[method-assign]
    await until(lambda: viewer.receiver is not before)
    await until(lambda: viewer.receiver.stage is Stage.OPEN)
    there.put_reliable(*kept[0])
    await viewer.input(b"ls")
    assert done == [b"ls"]
    assert first not in served.registry.viewers
    viewer.close()


async def test_a_user_does_not_end_a_session_of_another_user(
    lab: Trust, tmp_path: Path, open_link: OpenLink
) -> None:
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    viewer, eve = viewer_of(there, ann), viewer_of(there, vic, "vic")
    await viewer.open(10)
    eve._link.previous = viewer._link.viewer
    await eve.open(10)
    assert sorted(each.sender.user for each in served.registry.viewers.values()) == [
        "ann",
        "vic",
    ]
    for each in (viewer, eve):
        each.close()


# ---- crowds ----


async def test_a_flood_of_greetings_in_her_name_does_not_shut_a_user_out(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Her proof takes long (a distant link); meanwhile the flood fills all places again."""
    monkeypatch.setattr(served_viewers, "MAX_GREETING", 16)
    greeted: list[SessionHello] = []
    sender = Authenticator(lab, NAME)

    def admit(hello: SessionHello, raw: bytes) -> Admission:
        greeted.append(hello)
        return sender(hello, raw)

    place = f"tcp/127.0.0.1:{free_port()}"
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        engine(connect=[place]) as eve, outlet(here, new_screen(), admit),
    ):  # fmt: skip
        key = Prover(lab, "ann", NAME)().key
        hello = encode(SessionHello(1, "view", ["zstd"], 1000, "ann", key))
        put, held, flooding = there.put_reliable, [], True
        there.put_reliable = lambda *what: held.append(what)  # type: ignore[method-assign]

        async def flood() -> None:
            """Delay her messages until the flood has filled all places again."""
            while flooding:
                late, before = held[:], len(greeted)
                held.clear()
                for _ in range(16):
                    eve.put_reliable(addresses.from_viewer(NAME, os.urandom(16).hex()), hello)
                await until(lambda: len(greeted) >= before + 16)  # noqa: B023
                for what in late:
                    put(*what)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(flood())
        ann = viewer_of(there, home(lab, "ann", tmp_path))
        await ann.open(30)
        flooding = False
        await task
        ann.close()


async def test_audience_places_become_free_when_their_viewers_are_silent(
    monkeypatch: pytest.MonkeyPatch,
    open_link: OpenLink,
) -> None:
    """Members without a token and messages: crashed ones, or an attacker who fills all places."""
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS", 3)
    monkeypatch.setattr(served_viewers, "MEMBER_TIMEOUT", 1.5)
    monkeypatch.setattr(served_viewers, "CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(mirror_module, "KEEP_ALIVE_INTERVAL", 0.2)
    _, there, served = await open_link(new_screen())
    stays = Mirror(there, NAME, surface(), "view", audience=True)
    await stays.open(10)
    hello = encode(SessionHello(1, "view", ["zstd"], 1 << 20, audience=True))
    for _ in range(2):
        there.put_reliable(addresses.from_viewer(NAME, os.urandom(16).hex()), hello)
    await until(lambda: len(served.registry.members) == 3)
    came = Mirror(there, NAME, surface(), "view", audience=True)
    came._connect()
    await until(lambda: "is full" in came.receiver.reason)
    await until(lambda: len(served.registry.members) == 1)
    again = Mirror(there, NAME, surface(), "view", audience=True)
    await again.open(10)
    await asyncio.sleep(2)
    assert stays.status.live
    assert again.status.live
    assert len(served.registry.members) == 2
    for each in (stays, came, again):
        each.close()
    await until(lambda: not served.registry.members)


async def test_a_user_has_some_places_of_an_audience_and_not_all(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_link: OpenLink
) -> None:
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS_PER_USER", 2)
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    crowd = [viewer_of(there, ann, audience=True) for _ in range(3)]
    await asyncio.gather(*(each.open(2) for each in crowd), return_exceptions=True)
    await until(lambda: len(served.registry.members) == 2)
    await until(lambda: any("ann has 2 mirrors" in e.receiver.reason for e in crowd))
    other = viewer_of(there, vic, "vic", audience=True)
    await other.open(10)
    assert [e.sender.user for e in served.registry.members.values()] == [
        "ann",
        "ann",
        "vic",
    ]
    for each in (*crowd, other):
        each.close()


async def test_a_former_member_cannot_read_messages_to_the_audience(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_link: OpenLink
) -> None:
    monkeypatch.setattr(audience_module, "KEY_DELAY", 0.3)
    rng, screen = np.random.default_rng(1), new_screen()
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    _, there, served = await open_link(screen, Authenticator(lab, NAME))
    stays = [viewer_of(there, ann, audience=True) for _ in range(2)]
    leaves = viewer_of(there, vic, "vic", audience=True)
    for each in (*stays, leaves):
        await each.open(10)
    said: list[bytes] = []
    there.subscribe(addresses.to_audience(NAME, "*"), lambda key, data: said.append(data))
    member = leaves.receiver._greeting.member
    assert member is not None
    leaves.close()
    await until(lambda: len(served.registry.members) == 2)
    group = served._audience._keys.seal  # type: ignore[union-attr]
    await until(lambda: group._generation == 1 and not group._next)
    said.clear()
    screen.draw(rng)
    await until(lambda: all(shows(e._target, screen) for e in stays))  # type: ignore[arg-type]
    assert said
    for data in said:
        with pytest.raises(Exception, match="generation 1"):
            member.open(data)
    assert all(each.receiver.losses.missing_since is None for each in stays)
    # Two who leave at once: the key that the second was told is replaced as well.
    stays[1].close()
    newcomers = [viewer_of(there, ann, audience=True) for _ in range(2)]
    for each in newcomers:
        await each.open(10)
    newcomers[0].close()
    await until(lambda: group._generation >= 3 and not group._next)
    screen.draw(rng)
    rest = [stays[0], newcomers[1]]
    await until(lambda: all(shows(e._target, screen) for e in rest))  # type: ignore[arg-type]
    for each in rest:
        each.close()


async def test_dead_leaders_hold_an_audience_up_once(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many mirrors of one user are alive and acknowledge nothing."""
    monkeypatch.setattr(audience_module, "LEADER_TIMEOUT", 30.0)
    monkeypatch.setattr(mirror_module, "RESTART_REQUEST_INTERVAL", 0.3)
    place = f"tcp/127.0.0.1:{free_port()}"
    rng, screen = np.random.default_rng(1), new_screen()
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    async with (
        engine(listen=[place]) as here, engine(connect=[place]) as there,
        engine(connect=[place]) as mute,
        outlet(here, screen, Authenticator(lab, NAME)) as served,
    ):  # fmt: skip
        crowd = [viewer_of(mute, vic, "vic", audience=True) for _ in range(12)]
        await asyncio.gather(*(each.open(10) for each in crowd))
        good = viewer_of(there, ann, audience=True)
        await good.open(10)
        assert not good.receiver.leads
        mute.put = lambda *what, **how: None  # type: ignore[method-assign]
        put = mute.put_reliable
        chatter = True

        async def talk() -> None:
            while chatter:
                for each in crowd:
                    put(each._link.key, each.receiver.encode(Ack(0)))
                await asyncio.sleep(0.1)

        mute.put_reliable = lambda *what: None  # type: ignore[method-assign]
        monkeypatch.setattr(audience_module, "LEADER_TIMEOUT", 0.5)
        task = asyncio.create_task(talk())
        began = time.monotonic()
        while not good.receiver.leads:
            screen.draw(rng)
            await asyncio.sleep(0.02)
            assert time.monotonic() < began + 10
        await until(lambda: shows(good._target, screen))  # type: ignore[arg-type]
        assert len(served.registry.members) == 13
        # One of them led and was waited for; then none of the other eleven.
        assert sum(each.receiver.leads for each in crowd) <= 1
        chatter = False
        await task
        for each in (*crowd, good):
            each.close()


async def test_a_receiver_keeps_no_exchange_key(
    lab: Trust, tmp_path: Path, open_link: OpenLink
) -> None:
    there = (await open_link(new_screen(), Authenticator(lab, NAME))).there
    viewer = viewer_of(there, home(lab, "ann", tmp_path))
    await viewer.open(10)
    receiver: ReceiverSession = viewer.receiver
    assert receiver._greeting._prove._exchange._private is None  # type: ignore[union-attr]
    viewer.close()
