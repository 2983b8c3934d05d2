"""A controller and keepers in this process, with real hosts: no Ray."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support import xservers
from support.fleet_scene import Scene, spec
from support.wait import until_async

import kju.aio
from kju.errors import FleetFullError, MachineExistsError, MachineLostError
from kju.fleet.messages import FleetState, MachineSpec
from kju.store import running
from kju.store.paths import machine_paths


@pytest.fixture(autouse=True)
def folders(own_folders: None) -> None:
    xservers.need()


@pytest.fixture
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """A scene with one keeper; the parameter has the keeper's options."""
    made = Scene()
    made.start_keeper("n1", **getattr(request, "param", {}))
    await until_async(lambda: made.controller.nodes(), "the node has joined")
    yield made
    for name in running.names():
        running.kill(name)
    for node in list(made.tasks):
        await made.stop(node)


def slow_xvfb(folder: Path, patch: pytest.MonkeyPatch, seconds: float) -> Path:
    """Let Xvfb start slowly; return a file that gets a line with each start."""
    script, starts = folder / "bin" / "Xvfb", folder / "starts"
    script.parent.mkdir()
    real = shutil.which("Xvfb")
    script.write_text(f'#!/bin/sh\necho >>{starts}\nsleep {seconds}\nexec {real} "$@"\n')
    script.chmod(0o700)
    patch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    return starts


async def test_a_machine_is_launched_used_and_ended(scene: Scene) -> None:
    (status,) = await scene.controller.launch([spec("a")])
    assert (status.state, status.node) == (FleetState.RUNNING, "n1")
    async with await kju.aio.attach("a") as machine:
        assert (await machine.info())["lease"]["holder"] == "lab/n1"
        assert (await machine.screen.frame()).shape[2] == 3
    with pytest.raises(MachineExistsError):
        await scene.controller.launch([spec("a")])
    with pytest.raises(FleetFullError, match="n1 lacks 1 GiB of memory"):
        await scene.controller.launch([spec("b", 4)])
    ended = await scene.controller.end("a", "no longer needed")
    assert (ended.state, ended.reason) == (FleetState.ENDED, "no longer needed")
    assert running.names() == []


async def test_a_machine_whose_host_is_killed_is_started_again(scene: Scene) -> None:
    await scene.controller.launch([spec("a", max_restarts=1)])
    first = running.host_pid("a")
    running.kill("a")
    await until_async(lambda: scene.state("a") == (FleetState.RUNNING, 2), "it runs again")
    (lost,) = [each for each in scene.controller.changes(None).statuses if each.log]
    assert (lost.state, lost.generation) == (FleetState.LOST, 1)
    assert lost.log[0].startswith("host.log: ")
    assert running.host_pid("a") != first
    running.kill("a")
    await until_async(lambda: scene.state("a") == (FleetState.LOST, 2), "it is lost")


async def test_a_machine_that_does_not_start_is_an_error_and_the_others_end(scene: Scene) -> None:
    bad = MachineSpec("b", launch={"emulator": "xvfb", "arguments": ["-no-such-option"]})
    with pytest.raises(MachineLostError, match="did not start on n1") as raised:
        await scene.controller.launch([spec("a"), bad])
    assert any("no-such-option" in line for line in raised.value.log)
    await until_async(lambda: scene.state("a")[0] is FleetState.ENDED, "the other one has ended")
    assert running.names() == []


async def test_a_restarted_keeper_finds_its_machines(scene: Scene) -> None:
    await scene.controller.launch([spec("a"), spec("b")])
    hosts = {name: running.host_pid(name) for name in "ab"}
    await scene.stop("n1")
    os.kill(hosts["b"], signal.SIGSTOP)
    scene.start_keeper("n1")
    # A host that does not answer is killed, so that nothing is left of the machine.
    await until_async(lambda: scene.state("b")[0] is FleetState.LOST, "the stopped one is lost")
    assert not running.is_alive(machine_paths("b"))
    assert scene.state("a") == (FleetState.RUNNING, 1)
    assert running.host_pid("a") == hosts["a"]
    await scene.controller.end("a", "the end")


async def test_machines_end_with_their_owner(scene: Scene) -> None:
    await scene.controller.launch([spec("a", owner="me"), spec("b")])
    scene.controller.renew_owner("me")
    scene.controller.forget_owner("me")
    await until_async(lambda: scene.state("a")[0] is FleetState.ENDED, "its machine has ended")
    assert running.names() == ["b"]


@pytest.mark.parametrize("scene", [{"lease": 8}], indirect=True)
async def test_a_start_may_take_longer_than_a_lease(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_xvfb(tmp_path, monkeypatch, 11)
    (status,) = await scene.controller.launch([spec("a")])
    assert (status.state, status.generation) == (FleetState.RUNNING, 1)


@pytest.mark.parametrize("scene", [{"starts": 1}], indirect=True)
async def test_a_machine_that_ends_before_its_turn_is_not_started(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = slow_xvfb(tmp_path, monkeypatch, 1)
    launch = asyncio.create_task(scene.controller.launch([spec("a"), spec("b")]))
    await until_async(starts.exists, "the first one starts")
    ended = await scene.controller.end("b", "it is not needed")
    assert (ended.state, ended.reason) == (FleetState.ENDED, "it is not needed")
    with pytest.raises(MachineLostError, match="'b' did not start on n1: it is not needed"):
        await launch
    assert len(starts.read_text().splitlines()) == 1


async def test_a_launch_that_the_keeper_does_not_know_is_an_error(scene: Scene) -> None:
    unknown = MachineSpec("a", launch={"emulator": "xvfb", "colour": "red"})
    with pytest.raises(MachineLostError, match="colour"):
        await scene.controller.launch([unknown])
    assert running.names() == []


async def test_a_fleet_of_the_same_name_on_another_cluster_takes_no_machine_over(
    scene: Scene,
) -> None:
    await scene.controller.launch([spec("a")])
    first = running.host_pid("a")
    other = Scene()
    other.start_keeper("n2")
    await until_async(lambda: other.controller.nodes(), "its node has joined")
    try:
        # Both clusters have nodes on this computer, which has one machine of a name.
        with pytest.raises(MachineLostError, match=r"'a' did not start on n2: .*already"):
            await other.controller.launch([spec("a")])
        await other.controller.launch([spec("b")])
        await other.controller.end("b", "the end")
        assert (running.names(), running.host_pid("a")) == (["a"], first)
        assert scene.state("a") == (FleetState.RUNNING, 1)
    finally:
        for node in list(other.tasks):
            await other.stop(node)


@pytest.fixture
def small_tmpfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run machines in a folder on a tmpfs of 4 MB."""
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4M,mode=0700", "kju-test", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_node_whose_tmpfs_is_full_starts_nothing_and_gives_the_reason(
    small_tmpfs: Path, scene: Scene
) -> None:
    filling = small_tmpfs / "filling"
    with filling.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    with pytest.raises(MachineLostError, match=r"'.' did not start on n1: .*[Nn]o space"):
        await scene.controller.launch([spec("a"), spec("b")])
    # The other one may be starting still; in a folder with room it would go on.
    over = {FleetState.LOST, FleetState.ENDED}
    await until_async(
        lambda: {status.state for status in scene.controller.statuses()} <= over, "both are over"
    )
    assert running.names() == []
    filling.unlink()
    await scene.controller.launch([spec("a")])
    await scene.controller.end("a", "the end")
