"""Attacks on sessions over zenoh: by routers, removed users and crowds."""

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
)
from support.trusting import home
from support.wait import until_async
from support.wire_scene import surface

from kju.errors import InputError, UnavailableError
from kju.remote import addresses, mirror_link
from kju.remote import mirror as mirror_module
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.certificates import Kind
from kju.remote.mirror import Mirror
from kju.remote.proof import Authenticator, Prover
from kju.remote.transport import Engine
from kju.remote.trust import Trust
from kju.serving import audience as audience_module
from kju.serving import served_viewers
from kju.serving.carrier import ServedViewer
from kju.wire.greeting import Admission, Stage
from kju.wire.messages import Ack, Goodbye, InputDone, Role, SessionHello, SessionRefused, encode
from kju.wire.receiver_session import ReceiverSession

pytest.importorskip("zenoh")
pytest.importorskip("cryptography")


def viewer_of(where: Engine, trust: Trust, user: str = "ann", *, audience: bool = False) -> Mirror:
    """Return a mirror of the screen by a user."""
    role: Role = "view" if audience else "control"
    prove = Prover(trust, user, NAME)
    return Mirror(where, NAME, surface(), role, user=user, prove=prove, audience=audience)


def impostor(lab: Trust, tmp_path: Path, kind: Kind) -> Trust:
    """Return the trust of a computer of the same authority that claims to serve the screen."""
    made = Trust(tmp_path / "eve")
    made.import_bundle(lab.host_bundle("eve", ["eve"], kind))
    for suffix in ("pem", "key") if kind == "router" else ():
        (made.folder / f"router.{suffix}").rename(made.folder / f"host.{suffix}")
    made.set_role("ann", "control")
    return made


@pytest.mark.parametrize("kind", ["host", "router"])
async def test_impostor_that_answers_a_reconnection_receives_no_input(
    lab: Trust, tmp_path: Path, kind: Kind
) -> None:
    """The router drops the session and answers the next hello with its own certificate."""
    typed: list[bytes] = []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        typed.append(body)
        return InputDone(1, 1, 5)

    place = f"tcp/127.0.0.1:{free_port()}"
    ann = home(lab, "ann", tmp_path)
    router = await Engine.open(SessionOptions(listen=[endpoint(place)], router=True))
    async with engine(connect=[place]) as there:
        viewer = viewer_of(there, ann)
        async with (
            engine(connect=[place]) as here,
            outlet(here, new_screen(), Authenticator(lab, NAME)),
        ):
            await viewer.open(60)
            assert viewer.receiver.sender == "host1"
        eve = impostor(lab, tmp_path, kind)
        async with (
            engine(connect=[place]) as other,
            outlet(other, new_screen(), Authenticator(eve, NAME), note),
        ):
            why = "has changed" if kind == "host" else "is for a router"
            await until_async(lambda: why in viewer.receiver.hint)
            assert viewer.receiver.stage is not Stage.OPEN
            with pytest.raises(UnavailableError):
                await viewer.input(b"secret")
            await until_async(lambda: why in viewer.status.reason)
        async with (
            engine(connect=[place]) as here,
            outlet(here, new_screen(), Authenticator(lab, NAME)),
        ):
            await until_async(lambda: viewer.status.live)
        viewer.close()
    await router.close()
    assert typed == []


async def test_forged_refusal_does_not_reject_a_viewer(
    lab: Trust, tmp_path: Path, open_link: OpenLink
) -> None:
    """A peer answers every hello first: only a refusal signed by the sender counts."""
    here, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    came = served._on_data

    def refused_first(key: str, data: bytes) -> None:
        number = addresses.viewer_of(key)
        if number not in served.registry.viewers:
            for lie in (SessionRefused("go away"), Goodbye("go away")):
                here.put_reliable(addresses.to_viewer(NAME, number), encode(lie))
        came(number, data)

    served._carrier._undo[0]()
    served._carrier._undo[0] = here.subscribe(addresses.from_viewer(NAME, "*"), refused_first)
    viewer = viewer_of(there, home(lab, "ann", tmp_path))
    await viewer.open(60)
    assert viewer.receiver.hint == "go away"
    assert viewer.status.live
    viewer.close()


@pytest.mark.parametrize("change", ["removed", "role", "expired"])
@pytest.mark.parametrize("audience", [False, True], ids=["alone", "audience"])
async def test_open_session_ends_when_its_user_is_removed(
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
    await viewer.open(60)
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
    await until_async(
        lambda: not ({*session} & {*served.registry.viewers, *served.registry.members})
    )
    await until_async(lambda: receiver.stage is Stage.CLOSED)
    words = {"removed": "does not know", "role": "was changed", "expired": "expired"}[change]
    assert words in receiver.reason
    viewer.close()


async def test_input_that_timed_out_ends_the_session_and_is_never_applied(
    monkeypatch: pytest.MonkeyPatch,
    open_link: OpenLink,
) -> None:
    """The router delays a key until its user's call has timed out."""
    monkeypatch.setattr(mirror_module, "INPUT_TIMEOUT", 0.5)
    done: list[bytes] = []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        done.append(body)
        return InputDone(1, 1, 5)

    _, there, served = await open_link(new_screen(), act=note)
    viewer = Mirror(there, NAME, surface())
    await viewer.open(60)
    before, kept = viewer.receiver, []
    put, there.put_reliable = there.put_reliable, lambda *what: kept.append(what)  # type: ignore[method-assign]
    with pytest.raises(InputError, match="may have been carried out"):
        await viewer.input(b"rm -rf")
    assert before.stage is Stage.CLOSED
    there.put_reliable = put  # type: ignore[method-assign]
    first = next(iter(served.registry.viewers))
    await until_async(lambda: viewer.receiver is not before and viewer.status.live)
    # The goodbye was delayed too: it is released first, as an ordered transport does.
    for what in [*kept[1:], kept[0]]:
        there.put_reliable(*what)
    await until_async(lambda: first not in served.registry.viewers)
    await viewer.input(b"ls")
    assert done == [b"ls"]
    viewer.close()


@pytest.mark.parametrize("end", ["a forged presence", "silence"])
async def test_input_of_an_ended_session_is_not_applied_in_the_next(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, open_link: OpenLink
) -> None:
    """The router delays a key, makes the viewer reconnect, and keeps the old session's token."""
    done: list[bytes] = []

    async def note(viewer: ServedViewer, body: bytes) -> InputDone:
        done.append(body)
        return InputDone(1, 1, 5)

    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME), note)
    viewer = viewer_of(there, home(lab, "ann", tmp_path))
    await viewer.open(60)
    served._carrier._undo.pop(1)()  # tokens
    before, kept = viewer.receiver, []
    (first,) = served.registry.viewers
    put, there.put_reliable = there.put_reliable, lambda *what: kept.append(what)  # type: ignore[method-assign]
    pending = asyncio.create_task(viewer.input(b"rm -rf"))
    await until_async(lambda: bool(kept))
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
    await until_async(lambda: viewer.receiver is not before)
    await until_async(lambda: viewer.receiver.stage is Stage.OPEN)
    there.put_reliable(*kept[0])
    await viewer.input(b"ls")
    assert done == [b"ls"]
    assert first not in served.registry.viewers
    viewer.close()


async def test_user_cannot_end_a_session_of_another_user(
    lab: Trust, tmp_path: Path, open_link: OpenLink
) -> None:
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    viewer, eve = viewer_of(there, ann), viewer_of(there, vic, "vic")
    await viewer.open(60)
    eve._link.previous = viewer._link.viewer
    await eve.open(60)
    assert sorted(each.sender.user for each in served.registry.viewers.values()) == [
        "ann",
        "vic",
    ]
    for each in (viewer, eve):
        each.close()


# ---- crowds ----


async def test_flood_of_hellos_in_a_users_name_does_not_block_the_user(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's proof takes a round trip (a far link), in which the flood fills every place."""
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
            """Delay the user's messages until every place is taken again."""
            while flooding:
                late, before = held[:], len(greeted)
                held.clear()
                for _ in range(16):
                    eve.put_reliable(addresses.from_viewer(NAME, os.urandom(16).hex()), hello)
                await until_async(lambda: len(greeted) >= before + 16)  # noqa: B023
                for what in late:
                    put(*what)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(flood())
        ann = viewer_of(there, home(lab, "ann", tmp_path))
        await ann.open(30)
        flooding = False
        await task
        ann.close()


async def test_audience_places_of_silent_viewers_become_free(
    monkeypatch: pytest.MonkeyPatch,
    open_link: OpenLink,
) -> None:
    """A viewer without a token that stays silent has crashed, or wants to take every place."""
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS", 3)
    monkeypatch.setattr(served_viewers, "MEMBER_TIMEOUT", 1.5)
    monkeypatch.setattr(served_viewers, "CHECK_INTERVAL", 0.1)
    monkeypatch.setattr(mirror_module, "KEEP_ALIVE_INTERVAL", 0.2)
    _, there, served = await open_link(new_screen())
    stays = Mirror(there, NAME, surface(), "view", audience=True)
    await stays.open(60)
    hello = encode(SessionHello(1, "view", ["zstd"], 1 << 20, audience=True))
    for _ in range(2):
        there.put_reliable(addresses.from_viewer(NAME, os.urandom(16).hex()), hello)
    await until_async(lambda: len(served.registry.members) == 3)
    came = Mirror(there, NAME, surface(), "view", audience=True)
    came._connect()
    await until_async(lambda: "is full" in came.receiver.reason)
    await until_async(lambda: len(served.registry.members) == 1)
    again = Mirror(there, NAME, surface(), "view", audience=True)
    await again.open(60)
    await asyncio.sleep(2)
    assert stays.status.live
    assert again.status.live
    assert len(served.registry.members) == 2
    for each in (stays, came, again):
        each.close()
    await until_async(lambda: not served.registry.members)


async def test_places_of_one_user_in_an_audience_are_limited(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_link: OpenLink
) -> None:
    monkeypatch.setattr(served_viewers, "MAX_MEMBERS_PER_USER", 2)
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    _, there, served = await open_link(new_screen(), Authenticator(lab, NAME))
    crowd = [viewer_of(there, ann, audience=True) for _ in range(3)]
    await asyncio.gather(*(each.open(2) for each in crowd), return_exceptions=True)
    await until_async(lambda: len(served.registry.members) == 2)
    await until_async(lambda: any("ann has 2 mirrors" in e.receiver.reason for e in crowd))
    other = viewer_of(there, vic, "vic", audience=True)
    await other.open(60)
    assert [e.sender.user for e in served.registry.members.values()] == [
        "ann",
        "ann",
        "vic",
    ]
    for each in (*crowd, other):
        each.close()


async def test_former_member_cannot_read_messages_to_the_audience(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open_link: OpenLink
) -> None:
    monkeypatch.setattr(audience_module, "KEY_DELAY", 0.3)
    rng, screen = np.random.default_rng(1), new_screen()
    ann, vic = home(lab, "ann", tmp_path), home(lab, "vic", tmp_path)
    _, there, served = await open_link(screen, Authenticator(lab, NAME))
    stays = [viewer_of(there, ann, audience=True) for _ in range(2)]
    leaves = viewer_of(there, vic, "vic", audience=True)
    for each in (*stays, leaves):
        await each.open(60)
    said: list[bytes] = []
    there.subscribe(addresses.to_audience(NAME, "*"), lambda key, data: said.append(data))
    member = leaves.receiver._greeting.member
    assert member is not None
    leaves.close()
    await until_async(lambda: len(served.registry.members) == 2)
    group = served._audience._keys.seal  # type: ignore[union-attr]
    await until_async(lambda: group._generation == 1 and not group._next)
    said.clear()
    screen.draw(rng)
    await until_async(lambda: all(shows(e._target, screen) for e in stays))  # type: ignore[arg-type]
    assert said
    for data in said:
        with pytest.raises(Exception, match="generation 1"):
            member.open(data)
    assert all(each.receiver.ack_state.missing_since is None for each in stays)
    # Two members leave at once: the key that the second received is replaced too.
    stays[1].close()
    newcomers = [viewer_of(there, ann, audience=True) for _ in range(2)]
    for each in newcomers:
        await each.open(60)
    newcomers[0].close()
    await until_async(lambda: group._generation >= 3 and not group._next)
    screen.draw(rng)
    rest = [stays[0], newcomers[1]]
    await until_async(lambda: all(shows(e._target, screen) for e in rest))  # type: ignore[arg-type]
    for each in rest:
        each.close()


async def test_dead_leaders_delay_an_audience_once(
    lab: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirrors of one user report that they are alive, and acknowledge nothing."""
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
        await asyncio.gather(*(each.open(60) for each in crowd))
        good = viewer_of(there, ann, audience=True)
        await good.open(60)
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
        await until_async(lambda: shows(good._target, screen))  # type: ignore[arg-type]
        assert len(served.registry.members) == 13
        # One of them led and the sender waited for it; the other eleven never lead.
        assert sum(each.receiver.leads for each in crowd) <= 1
        chatter = False
        await task
        for each in (*crowd, good):
            each.close()


async def test_receiver_keeps_no_exchange_key(
    lab: Trust, tmp_path: Path, open_link: OpenLink
) -> None:
    there = (await open_link(new_screen(), Authenticator(lab, NAME))).there
    viewer = viewer_of(there, home(lab, "ann", tmp_path))
    await viewer.open(60)
    receiver: ReceiverSession = viewer.receiver
    assert receiver._greeting._prove._exchange._private is None  # type: ignore[union-attr]
    viewer.close()
