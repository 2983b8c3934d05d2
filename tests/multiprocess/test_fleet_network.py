"""A fleet on the network, as it is seen without Ray: real machines, senders and zenoh."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support import xservers
from support.fleet_scene import Scene, spec
from support.trusting import make_lab
from support.wait import HANG, until_async

import kju
import kju.aio
from kju.errors import KjuError
from kju.fleet.messages import FleetState, MachineStatus
from kju.fleet.network.joining import FleetNetwork
from kju.fleet.network.news import (
    NOT_SHOWN,
    Envelope,
    controller_key,
    encode_envelope,
    encode_news,
    state_key,
    what_of,
)
from kju.fleet.network.publisher import SIGNED
from kju.fleet.network.watcher import FleetWatcher
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine
from kju.serving.server import Server, find
from kju.store import running
from kju.store.paths import local_network

pytest.importorskip("zenoh")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xservers.need()
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        (tmp_path / name).mkdir(mode=0o700)
        monkeypatch.setenv(name, str(tmp_path / name))


@contextlib.asynccontextmanager
async def opened(network: FleetNetwork, *nodes: str) -> AsyncIterator[Scene]:
    """Yield a scene with keepers on a network."""
    made = Scene(network)
    try:
        for node in nodes:
            made.start_keeper(node)
        await until_async(lambda: len(made.controller.nodes()) == len(nodes), "the nodes join")
        yield made
    finally:
        for name in running.names():
            running.kill(name)
        for node in list(made.tasks):
            await made.stop(node)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A scene with two keepers on this user's socket."""
    async with opened(FleetNetwork(), "n1", "n2") as made:
        yield made


def here() -> SessionOptions:
    return SessionOptions(connect=[endpoint(local_network())])


def shown(watcher: FleetWatcher) -> dict[str, tuple[FleetState, int, str]]:
    return {
        each.name: (each.state, each.generation, each.node) for each in watcher.picture.statuses()
    }


def reasons(watcher: FleetWatcher) -> dict[str, str]:
    return {each.name: each.reason for each in watcher.picture.statuses()}


async def command(*words: str) -> tuple[str, str]:
    """Run ``kju`` in a process that cannot import Ray; return what it prints."""
    source = str(Path(kju.__file__).parents[1])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import sys; sys.modules['ray'] = None; from kju.cli.app import run;"
        " sys.exit(run(sys.argv[1:]))", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": source},
    )  # fmt: skip
    async with asyncio.timeout(HANG):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()


async def listed(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((await command("fleet", *words, "--json"))[0])
    return found


async def test_machines_are_seen_and_used_without_ray_and_without_a_controller(
    scene: Scene,
) -> None:
    await scene.controller.launch([spec("m1", spread=True), spec("m2", spread=True)])
    node = {each.name: each.node for each in scene.controller.statuses()}
    assert set(node.values()) == {"n1", "n2"}
    async with FleetWatcher("lab", here(), None) as watcher:
        wanted = {name: (FleetState.RUNNING, 1, node[name]) for name in ("m1", "m2")}
        await until_async(lambda: shown(watcher) == wanted, "both machines are shown")
        await until_async(lambda: watcher.picture.has_controller, "their controller answers")

        # The screen of another computer's machine, and its keyboard, by its name.
        async with await kju.aio.attach(f"zenoh:lab/{node['m1']}/m1") as mirror:
            assert (await mirror.screen.frame()).shape == (800, 1280, 3)
            assert (await mirror.info())["mirror"]["of"] == f"zenoh:lab/{node['m1']}/m1"
            assert (await mirror.info())["mirror"]["role"] == "control"

        rows = await listed("ls", "--fleet", "lab")
        assert [(row["name"], row["state"], row["generation"], row["node"]) for row in rows] == [
            ("m1", "running", 1, node["m1"]), ("m2", "running", 1, node["m2"]),
        ]  # fmt: skip
        events = (await command("fleet", "events", "--fleet", "lab", "--json"))[0].splitlines()
        assert [json.loads(line)["state"] for line in events if '"m1"' in line] == [
            "starting", "running",
        ]  # fmt: skip

        hint = "no node and no controller of a fleet lap is on the network; these fleets are: lab"
        assert hint in (await command("fleet", "ls", "--fleet", "lap"))[1]

        # The controller ends; the leases of the machines run for some seconds more.
        await scene.stop("publisher")
        await until_async(lambda: not watcher.picture.has_controller, "its end is noticed")
        # It had forwarded the messages of the others, which meet again.
        await until_async(lambda: set(reasons(watcher).values()) == {""}, "the nodes show them")
        assert shown(watcher) == wanted
        out, err = await command("fleet", "ls", "--fleet", "lab", "--json")
        assert [row["state"] for row in json.loads(out)] == ["running", "running"]
        assert "its nodes show this" in err
        running.kill("m1")
        await until_async(
            lambda: shown(watcher)["m1"] == (FleetState.LOST, 1, node["m1"]), "its loss is seen"
        )
        assert shown(watcher)["m2"][0] is FleetState.RUNNING
        last = [event.status for event in watcher.taken() if event.status is not None][-1]
        assert (last.name, last.state, last.reason) == ("m1", FleetState.LOST, NOT_SHOWN)

        # And it returns, with the reason that it knows.
        scene.start_publisher()
        await until_async(lambda: watcher.picture.has_controller, "the controller is back")
        await until_async(
            lambda: reasons(watcher)["m1"] not in ("", NOT_SHOWN), "the controller's reason"
        )


async def test_kju_serve_and_fleets_share_the_socket_of_a_user(scene: Scene) -> None:
    await scene.controller.launch([spec("m1")])
    servers = [
        asyncio.create_task(Server(["m1"], prefix=prefix).run()) for prefix in ("one", "two")
    ]
    node = scene.controller.statuses()[0].node
    wanted = {f"lab/{node}/m1", "one/m1", "two/m1"}
    try:
        await until_served(wanted)
        # The process that forwarded the messages of the others ends.
        await scene.stop("publisher")
        await until_served(wanted)
        assert not any(server.done() for server in servers)
    finally:
        for server in servers:
            server.cancel()
        await asyncio.gather(*servers, return_exceptions=True)


async def until_served(wanted: set[str]) -> None:
    async with asyncio.timeout(HANG):
        found: set[str] = set()
        while found != wanted:
            with contextlib.suppress(KjuError):  # nobody listens at this moment
                found = set(await find(here()))


async def test_a_router_carries_a_fleet_with_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab(tmp_path / "trust")
    monkeypatch.setenv("KJU_TRUST", str(lab.folder))
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        place = f"tls/localhost:{free.getsockname()[1]}"
    where = [endpoint(place)]
    router = await Engine.open(SessionOptions(listen=where, tls=lab.tls(), router=True))
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(router.close)
        scene = await stack.enter_async_context(opened(FleetNetwork((place,)), "n1"))
        await scene.controller.launch([spec("m1")])
        ann = SessionOptions(connect=where, tls=lab.tls("ann"))
        async with FleetWatcher("lab", ann, lab) as watcher:
            wanted = {"m1": (FleetState.RUNNING, 1, "n1")}
            await until_async(lambda: shown(watcher) == wanted, "the machine is shown")
            await until_async(lambda: watcher.picture.has_controller, "its controller answers")
        # A program on another computer has two variables, and the name.
        monkeypatch.setenv("KJU_CONNECT", place)
        for user, role in (("ann", "control"), ("vic", "view")):
            monkeypatch.setenv("KJU_USER", user)
            async with await kju.aio.attach("zenoh:lab/n1/m1") as mirror:
                assert (await mirror.info())["mirror"]["role"] == role
                assert (await mirror.info())["mirror"]["sender"] == "host1"
        assert [row["name"] for row in await listed("ls", "--fleet", "lab")] == ["m1"]

        # A user has a certificate too, but speaks for no fleet.
        liar = await Engine.open(ann)
        stack.push_async_callback(liar.close)

        def lie(key: str, question: bytes) -> list[tuple[str, bytes]]:
            at = state_key("fake", what_of(key) or "statuses", 0)
            (body,) = encode_news(1, 1, [MachineStatus("m9", FleetState.RUNNING, 1, "n9")])
            proof = lab.sign("user-ann", SIGNED, at.encode(), question, body)
            return [(at, encode_envelope(Envelope(body, proof)))]

        liar.answer("kju/fleet-state/fake/**", lie)
        liar.declare_token(controller_key("fake"))
        async with FleetWatcher("fake", ann, lab) as watcher:
            (notice,) = [event.notice for event in watcher.taken()]
            assert "a host certificate is required" in notice
            assert watcher.picture.statuses() == []
            assert not watcher.picture.has_controller
