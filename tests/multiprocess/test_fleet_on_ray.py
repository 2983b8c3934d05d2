"""A fleet on a Ray cluster of two nodes on this computer, with machines of Xvfb."""

from __future__ import annotations

import asyncio
import contextlib
import filecmp
import functools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import documentation, guests
from support.ray_cluster import add_node, node_numbers, ray_cluster, ray_folders
from support.ray_cluster import by_value as task
from support.wait import HANG, until

import kju
import kju.aio
from kju.cli.app import run
from kju.errors import (
    ClosedError,
    FleetFullError,
    MachineGoneError,
    MachineLostError,
    MachineNotFoundError,
    UnavailableError,
    UsageError,
)
from kju.fleet import FleetBase, FleetState
from kju.fleet.bases.keeping import KeptBases
from kju.fleet.images.keeping import KeptImages
from kju.fleet.images.source import PIECE
from kju.fleet.messages import LEASE, REPORT_INTERVAL
from kju.fleet.network.joining import FleetNetwork
from kju.fleet.placement import Instance
from kju.store import running
from kju.store.forks import places
from kju.store.forks.bases import is_here, open_base
from kju.store.leased import lease_clock

ray = pytest.importorskip("ray")
from kju.fleet import Fleet, FleetMachine  # noqa: E402  it needs Ray
from kju.fleet.actors import keeper_name  # noqa: E402
from kju.fleet.cluster import FleetLink  # noqa: E402
from kju.fleet.images.transfer import RemoteFiles  # noqa: E402

#: Ray takes a minute to start two nodes on a busy computer, and warns of its own code.
pytestmark = [pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with contextlib.suppress(pytest.skip.Exception):
        # Before the cache folder is another one: it is built in minutes.
        guests.paint(tmp_path_factory.mktemp("guest"), "shell", device="VGA")
    with ray_folders(tmp_path_factory), ray_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def router(cluster: object) -> Iterator[str]:
    """A router, to which the commands connect."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        place = "tcp/{}:{}".format(*free.getsockname())
    words = [sys.executable, "-m", "kju.cli", "router", "--listen", place]
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(words, stdout=subprocess.PIPE) as process,
    ):
        patch.setenv("KJU_CONNECT", place)
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"routing")
        yield place
        process.terminate()


@pytest.fixture(scope="module")
def opened(cluster: object, router: str) -> Iterator[Fleet]:
    """The fleet of all tests: Ray takes seconds to start its actors."""
    with kju.fleet.open(name="lab", xvfb=True, router=router, insecure=True) as opened:
        yield opened


@pytest.fixture
def fleet(opened: Fleet) -> Iterator[Fleet]:
    yield opened
    with contextlib.suppress(ClosedError, UnavailableError):  # the test has ended it
        for status in opened.machines():
            opened.machine(status.name).stop()
    assert running.names() == []


def state(fleet: Fleet, name: str) -> tuple[FleetState, int, str]:
    (found,) = [status for status in fleet.machines() if status.name == name]
    return found.state, found.generation, found.node


def command(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run ``kju fleet`` in this process, which is connected to Ray; return what it prints."""
    capsys.readouterr()
    assert run(["fleet", *words, "--fleet", "lab"]) == 0
    return capsys.readouterr().out


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(command(capsys, *words, "--json"))
    return found


def shape(machine: kju.Machine) -> tuple[str, tuple[int, ...], int]:
    return machine.name, machine.screen.frame().shape, os.getpid()


async def role(machine: kju.aio.Machine) -> str:
    return machine.role


def disk(machine: kju.Machine) -> str:
    """Return the file below the overlay of a machine's disk."""
    blocks = [block for block in machine.qmp("query-block") if block["device"] == "kju-disk"]
    return str(blocks[0]["inserted"]["image"]["backing-filename"])


def prompt(machine: kju.Machine) -> int:
    """Return how many prompts of a shell the screen shows."""
    return machine.screen.text("kju$").count()


def copy_of(base: FleetBase, folder: Path, machine: kju.Machine) -> tuple[bool, bool]:
    """Copy a base as a node does that it does not lie on; return whether copy and memory differ."""
    real = open_base(base.id)
    # In this process it is another computer's memory: the base is not found here.
    places.SHARED_MEMORY = folder

    def find(node: str) -> Any:
        return ray.get_actor(keeper_name("lab", node), "kju")

    async def hold() -> tuple[bool, bool]:
        remote = RemoteFiles(find)
        images = KeptImages("other", remote)
        bases = KeptBases("other", images, remote)
        with open_base(await bases.hold(Instance(machine.name, 1), base)) as copy:
            found = copy.id != base.id, filecmp.cmp(copy.state, real.state, shallow=False)
        await bases.close()
        await images.close()
        return found

    with real:
        return asyncio.run(hold())


def fail(machine: kju.Machine) -> None:
    raise ZeroDivisionError(machine.name)


def fail_or_hang(hanging: str, machine: kju.Machine) -> None:
    if machine.name == hanging:
        time.sleep(HANG)
    fail(machine)


def leave(machine: kju.Machine) -> None:
    os._exit(3)


def wait(began: Path, machine: kju.Machine) -> None:
    began.touch()
    time.sleep(HANG)


def test_an_address_without_a_cluster_is_refused_at_once() -> None:
    if ray.is_initialized():
        pytest.skip("Ray ignores the address once it is connected")
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        address = "{}:{}".format(*listening.getsockname())
    with pytest.raises(UnavailableError, match=address), kju.fleet.open(address):
        pass


def test_machines_run_on_both_nodes_and_tasks_beside_them(fleet: Fleet) -> None:
    machines = fleet.launch(2, spread=True)
    assert len({machine.node for machine in machines}) == 2
    found = dict(fleet.map(task(shape), machines))
    assert {(name, answer[1]) for name, answer in found.items()} == {
        (machine.name, (800, 1280, 3)) for machine in machines
    }
    assert all(answer[2] != os.getpid() for answer in found.values())
    assert [result for _, result in fleet.map(task(role), machines)] == ["control"] * 2
    with pytest.raises(ZeroDivisionError, match=machines[0].name):
        list(fleet.map(task(fail), machines[:1]))
    # A worker that has ended ends no machine.
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        list(fleet.map(task(leave), machines[:1]))
    # One failed task, or one that hangs, does not delay the results of the others.
    failing = functools.partial(task(fail_or_hang), machines[1].name)
    results = fleet.map(failing, machines, threads=True, return_errors=True)
    name, error = next(results)
    assert name == machines[0].name and isinstance(error, ZeroDivisionError)
    results.close()
    # A process for each node, not for each task.
    twice = list(fleet.map(task(shape), [*machines, *machines], threads=True))
    assert (len(twice), len({answer[2] for _, answer in twice})) == (4, 2)
    ended = dict(fleet.map(task(leave), machines, threads=True, return_errors=True))
    assert {type(error) for error in ended.values()} == {ray.exceptions.ActorDiedError}
    assert machines[0].status().state is FleetState.RUNNING
    with pytest.raises(FleetFullError, match="GiB of memory"):
        fleet.launch(xvfb=False, memory="8G")
    with machines[0].attach() as attached:
        assert (attached.name, attached.role) == (machines[0].name, "control")
        assert attached.info()["lease"]["generation"] == 1
    # Not the handle of the launch: another program would have none.
    fleet.machine(machines[0].name).stop()
    assert running.names() == [machines[1].name]
    with pytest.raises(MachineLostError, match=f"no longer on {machines[0].node}"):
        machines[0].attach()
    with pytest.raises(MachineLostError, match=f"no longer on {machines[0].node}"):
        list(fleet.map(task(shape), machines[:1]))
    for name, error in fleet.map(task(shape), machines, return_errors=True):
        assert isinstance(error, MachineLostError) is (name == machines[0].name)
    for wrong in ("../other", "a b", "-x", "ü", "x" * 200):
        with pytest.raises(UsageError):
            fleet.launch(name=wrong)


def test_a_machine_of_another_computer_is_attached_as_a_mirror(
    fleet: Fleet, router: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = fleet.launch(name="far")
    address = f"zenoh:lab/{machine.node}/far"
    # Another computer has no such machine, or another one of this name.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with machine.attach(role="view") as mirror:
        found = mirror.info()["mirror"]
        assert (found["of"], found["role"]) == (address, "view")
        assert mirror.screen.frame().shape == (800, 1280, 3)
    with kju.attach(address) as mirror:
        assert mirror.info()["mirror"]["role"] == "control"
    with kju.launch(xvfb=True, name="far"), pytest.raises(MachineLostError, match="no longer on"):
        machine.attach()
    machine.stop()
    with pytest.raises(MachineLostError, match="no longer on"):
        machine.attach()
    with pytest.raises(UsageError, match=f"is served at {router}"):
        FleetLink(None, "lab", detach=True, network=FleetNetwork(("tcp/127.0.0.1:1",)))


def test_a_killed_keeper_comes_back_to_its_machines(fleet: Fleet) -> None:
    # On a busy computer Ray may need more than a lease to start a keeper: the machine is lost then.
    until(lambda: keeps(fleet), "a keeper comes back within a lease")


def keeps(fleet: Fleet) -> bool:
    """Kill a machine's keeper; return whether the next one has renewed the machine's lease."""
    machine = fleet.launch(name="kept")
    host = running.host_pid("kept")
    keeper = ray.get_actor(f"kju-keeper-{fleet.name}-{machine.node}", "kju")
    ray.kill(keeper, no_restart=False)
    # No grant to the killed keeper permits the machine to run longer.
    last_end = lease_clock() + LEASE
    while fleet.machine("kept").status().state is FleetState.RUNNING:
        with contextlib.suppress(MachineGoneError, MachineNotFoundError):
            with kju.attach("kept", role="view") as attached:
                end = lease_clock() + attached.info()["lease"]["seconds"]
            if end > last_end:
                assert state(fleet, "kept") == (
                    FleetState.RUNNING,
                    machine.generation,
                    machine.node,
                )
                assert running.host_pid("kept") == host
                return True
        time.sleep(0.1)
    machine.stop()
    return False


#: A program with a machine. It prints the machine's name, and does nothing more.
OWNER = """
import sys, time, kju.fleet
with kju.fleet.open(sys.argv[1], name="lab", xvfb=True) as fleet:
    print(fleet.launch(name="orphan").name, flush=True)
    time.sleep(3600)
"""


def test_a_killed_nodes_machine_runs_again_and_a_killed_programs_machine_ends(
    fleet: Fleet, cluster: Any, tmp_path: Path
) -> None:
    # Both in one test: each of them waits for a lease.
    command = [sys.executable, "-c", OWNER, cluster.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            lost, kept = fleet.launch(2, name="twice", spread=True, max_restarts=1)
            # Not the head: Ray ends with that.
            if lost.node.endswith(ray.get_runtime_context().get_node_id()[:6]):
                lost, kept = kept, lost
            assert owner.stdout is not None
            assert owner.stdout.readline() == "orphan\n"
        finally:
            owner.kill()
    assert state(fleet, "orphan")[0] is FleetState.RUNNING
    with ThreadPoolExecutor(1) as pool:
        began = tmp_path / "began"
        waits = functools.partial(task(wait), began)
        tasks = pool.submit(lambda: list(fleet.map(waits, [lost])))
        until(began.exists, "a task runs beside the machine")
        cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        with pytest.raises(MachineLostError, match=f"the node {lost.node} of .* has left"):
            tasks.result(HANG)
    with pytest.raises(MachineLostError, match="has left"):
        list(fleet.map(task(shape), [lost]))
    with closing(fleet.changes()) as changes:
        told = (each for each in changes if each.name == lost.name)
        again = (FleetState.RUNNING, 2)
        seen = list(takewhile(lambda each: (each.state, each.generation) != again, told))
    assert [key for key, _ in groupby((each.state, each.generation) for each in seen)] == [
        (FleetState.STARTING, 1), (FleetState.RUNNING, 1), (FleetState.LOST, 1),
        (FleetState.PLACING, 1), (FleetState.STARTING, 2),
    ]  # fmt: skip
    assert f"its node {lost.node} has not reported for 7 s" in [each.reason for each in seen]
    assert state(fleet, lost.name)[2] == kept.node
    assert state(fleet, kept.name) == (FleetState.RUNNING, 1, kept.node)
    until(lambda: state(fleet, "orphan")[0] is FleetState.ENDED, "it ends with its program")
    assert "its owner" in fleet.machine("orphan").status().reason
    assert sorted(running.names()) == sorted([lost.name, kept.name])


@pytest.fixture(scope="module")
def far_node(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Add a node without the files of this program's folder; return the end of its name."""
    known = node_numbers()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("far"))
        add_node(cluster)
    (number,) = node_numbers() - known
    return number


def test_a_node_that_joins_gets_machines(far_node: str, fleet: Fleet) -> None:
    until(lambda: any(node.endswith(far_node) for node in fleet._link.ask("nodes")), "its keeper")
    machines = fleet.launch(2, spread=True)
    assert len({machine.node for machine in machines}) == 2
    assert any(machine.node.endswith(far_node) for machine in machines)


def test_forks_of_a_base_run_on_all_nodes(far_node: str, fleet: Fleet, tmp_path: Path) -> None:
    guest = guests.paint(tmp_path, "shell", device="VGA")
    machine = fleet.launch(name="frozen", xvfb=False, args=guest.arguments)
    with machine.attach() as attached:
        attached.screen.text("kju$").wait(timeout=4 * HANG)
        base = machine.freeze("ready")
        assert (base.machine, base.tag, base.node) == ("frozen", "ready", machine.node)
        forks = fleet.launch(2, name="fork", fork=base, fork_memory="32M", spread=True)
        assert len({fork.node for fork in forks}) == 2
        assert {result for _, result in fleet.map(task(prompt), forks)} == {1}
        copies = functools.partial(task(copy_of), base, tmp_path)
        assert dict(fleet.map(copies, forks[:1])) == {forks[0].name: (True, True)}
        # A base of a machine of this computer, which need not be the fleet's.
        with attached.freeze("own", spares=0) as own:
            fork = fleet.launch(name="other", fork=own, fork_memory="32M")
        with fork.attach() as other:
            assert other.info()["fork"]["tag"] == "own"
        with pytest.raises(UsageError, match="cpus cannot be changed"):
            fleet.launch(fork=base, cpus=2)
        with pytest.raises(UsageError, match="fork_memory is for forks"):
            fleet.launch(fork_memory="32M")
        attached.remove_base("own")
    for each in [*forks, fork, machine]:
        each.stop()
    until(lambda: not is_here(base.id), "the base is removed with its last fork")
    with pytest.raises(MachineLostError, match="does not exist any more"):
        fleet.launch(fork=base)


def test_an_image_of_this_computer_is_copied_to_a_node_without_it(
    far_node: str, fleet: Fleet
) -> None:
    guests.qemu()
    # Each process has another file under this path, or none.
    image = Path("/proc/self/cwd/disk.raw")
    image.write_bytes(os.urandom(3 * PIECE + 5000))
    for node in fleet._link.ask("nodes"):
        if not node.endswith(far_node):
            # For the rest of this file.
            fleet.drain(node)
    options = {"memory": "64M", "args": ["-accel", "tcg", "-nic", "none"]}
    machines = fleet.launch(2, xvfb=False, image=image, **options)
    assert {machine.node[-6:] for machine in machines} == {far_node}
    (copy,) = Path(os.environ["XDG_CACHE_HOME"], "kju", "images").glob("*.raw")
    assert copy.read_bytes() == image.read_bytes()
    assert {result for _, result in fleet.map(task(disk), machines)} == {str(copy)}
    # A change is noticed, and nothing of it is used.
    image.write_bytes(os.urandom(PIECE))
    fleet.launch(xvfb=False, image=image, **options)
    assert copy.with_name(f"{sha256(image.read_bytes()).hexdigest()}.raw").exists()


def test_commands_list_and_end_machines(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    machine = fleet.launch(name="listed")
    (row,) = [row for row in listed(capsys, "ls") if row["name"] == "listed"]
    assert row.pop("since") == pytest.approx(time.time(), abs=HANG)
    assert row == {
        "name": "listed", "state": "running", "generation": 1, "node": machine.node,
        "reason": "", "log": [],
    }  # fmt: skip
    assert re.search(rf"^listed +running +1 +{machine.node}$", command(capsys, "ls"), re.M)
    (node,) = [row for row in listed(capsys, "nodes") if row["name"] == machine.node]
    assert (node["machines"], node["draining"]) == (["listed"], False)
    assert node["memory_used"] < node["memory"]
    assert re.search(rf"^{machine.node} +1 .* ready$", command(capsys, "nodes"), re.M)
    assert command(capsys, "stop", "listed") == ""
    assert running.names() == []
    events = map(json.loads, command(capsys, "events", "--json").splitlines())
    states = [each["state"] for each in events if each["name"] == "listed"]
    assert states == ["starting", "running", "ended"]


def controller_process(fleet: Fleet) -> int:
    """Return the number of the controller's process; 0 while it does not answer."""
    with contextlib.suppress(UnavailableError):
        return fleet._link.changes(None).mark[0]
    return 0


def launched_and_known_again(fleet: Fleet) -> tuple[FleetMachine, int]:
    """Launch a machine and restart the controller; return the machine and the PID of its host.

    If Ray takes longer for that than the machine's lease, the machine ends: launch another one.
    """
    for _ in range(4):
        machine = fleet.launch(name="known")
        host = running.host_pid("known")
        before, began = controller_process(fleet), time.monotonic()
        ray.kill(ray.get_actor(f"kju-controller-{fleet.name}", "kju"), no_restart=False)
        until(lambda: controller_process(fleet) not in (0, before), "it was restarted")  # noqa: B023
        until(lambda: fleet.machines() or not running.names(), "it is known or has ended")
        if running.names():
            return machine, host
        assert time.monotonic() - began > LEASE - REPORT_INTERVAL, "it ended with its lease"
    raise AssertionError("the controller was never restarted within the lease of a machine")


def test_a_restarted_controller_knows_its_machines_and_a_command_ends_the_fleet(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    machine, host = launched_and_known_again(fleet)
    until(lambda: state(fleet, "known") == (FleetState.RUNNING, 1, machine.node), "it is known")
    assert running.host_pid("known") == host
    # In one test, because a restarted controller launches nothing for 17 s.
    assert command(capsys, "drain", machine.node) == "known\n"
    assert {row["name"]: row["draining"] for row in listed(capsys, "nodes")}[machine.node]
    assert command(capsys, "down") == ""
    assert running.names() == []
    with pytest.raises(UnavailableError, match="controller"):
        fleet.machines()
    fleet.close()
    with pytest.raises(UnavailableError, match="no fleet 'lab'"):
        FleetLink(None, "lab", detach=True, start=False)


def test_a_fleet_needs_a_valid_name() -> None:
    with pytest.raises(UsageError, match="cannot be a fleet's name"), kju.fleet.open(name="a/b"):
        pass


def test_commands_on_the_page_about_clusters_are_valid() -> None:
    from ray.scripts.scripts import cli

    page = documentation.ROOT / "docs/how-to/fleet-clusters.md"
    text = "\n".join(block.text for block in documentation.blocks(page))
    lines = re.findall(r"\bray ((?:start|stop|get-auth-token)\b[^&\n]*)", text)
    assert len(lines) > 6
    for line in lines:
        command, *words = shlex.split(re.sub(r"\$\w+", "1", line.removesuffix("'")))
        cli.commands[command].make_context(command, words)
    (manifest,) = (b.text for b in documentation.blocks(page) if b.language == "yaml")
    spec = yaml.safe_load(manifest)["spec"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for group in groups:
        words = [f"--{key}={value}" for key, value in group["rayStartParams"].items()]
        cli.commands["start"].make_context("start", words)
        for container in group["template"]["spec"]["containers"]:
            volumes = {each["name"] for each in group["template"]["spec"].get("volumes", [])}
            assert {each["name"] for each in container.get("volumeMounts", [])} == volumes
