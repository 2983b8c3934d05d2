"""A fleet on a Ray cluster of two nodes on this computer, with machines of Xvfb."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support import guests, xservers
from support.wait import until

import kju
import kju.aio
from kju.errors import FleetFullError, MachineLostError, UsageError
from kju.fleet import FleetState
from kju.fleet.images.source import PIECE
from kju.store import running

ray = pytest.importorskip("ray")
from kju.fleet import Fleet  # noqa: E402  it needs Ray

STORE = 80_000_000
#: Ray takes a minute to start two nodes on a busy computer, and warns of its own code.
pytestmark = [pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    xservers.need()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
            folder = tmp_path_factory.mktemp(name)
            folder.chmod(0o700)
            patch.setenv(name, str(folder))
        # The processes of a node have the folder in which the node was started.
        patch.chdir(tmp_path_factory.mktemp("here"))
        # The workers import the kju that is tested, and the functions of this file.
        paths = (Path(kju.__file__).parents[1], Path(__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Ray's usual folder names the user's cluster of this computer. Sockets need short paths.
        with tempfile.TemporaryDirectory(
            prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
        ) as folder:
            patch.setenv("RAY_TMPDIR", folder)
            yield


@pytest.fixture(scope="module")
def cluster(folders: None) -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=False)
    try:
        for _ in range(2):
            made.add_node(num_cpus=2, memory=2 << 30, object_store_memory=STORE)
        ray.init(made.address, namespace="kju", log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def fleet(cluster: object, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    name = request.node.name.removeprefix("test_")[:30]
    with kju.fleet.open(name=name, xvfb=True) as opened:
        try:
            yield opened
        finally:
            link = opened._link
            opened.close()
            until(lambda: running.names() == [], "no machine is left")
            link.end_fleet()


def state(fleet: Fleet, name: str) -> tuple[FleetState, int, str]:
    (found,) = [status for status in fleet.machines() if status.name == name]
    return found.state, found.generation, found.node


def shape(machine: kju.Machine) -> tuple[str, tuple[int, ...], int]:
    return machine.name, machine.screen.frame().shape, os.getpid()


async def role(machine: kju.aio.Machine) -> str:
    return machine.role


def disk(machine: kju.Machine) -> str:
    """Return the file below the overlay of a machine's disk."""
    blocks = [block for block in machine.qmp("query-block") if block["device"] == "kju-disk"]
    return str(blocks[0]["inserted"]["image"]["backing-filename"])


def fail(machine: kju.Machine) -> None:
    raise ZeroDivisionError(machine.name)


def leave(machine: kju.Machine) -> None:
    os._exit(3)


def task(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that Ray sends by value: workers do not have this module."""
    ray.cloudpickle.register_pickle_by_value(__import__("sys").modules[__name__])
    return function


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
    assert machines[0].status().state is FleetState.RUNNING
    with pytest.raises(FleetFullError, match="GiB of memory"):
        fleet.launch(xvfb=False, memory="8G")
    # Not the handle of the launch: another program would have none.
    fleet.machine(machines[0].name).stop()
    assert running.names() == [machines[1].name]
    with pytest.raises(MachineLostError, match=f"no longer on {machines[0].node}"):
        list(fleet.map(task(shape), machines[:1]))


def test_a_killed_keeper_comes_back_to_its_machines(fleet: Fleet) -> None:
    machine = fleet.launch(name="kept")
    host = running.host_pid("kept")
    keeper = ray.get_actor(f"kju-keeper-{fleet.name}-{machine.node}", "kju")
    ray.kill(keeper, no_restart=False)
    # Longer than a lease: another keeper renews it.
    began = time.monotonic()
    until(lambda: time.monotonic() > began + 17, "the first lease would have ended")
    assert state(fleet, "kept") == (FleetState.RUNNING, 1, machine.node)
    assert running.host_pid("kept") == host


def test_machines_of_a_killed_node_run_again_elsewhere(fleet: Fleet, cluster: Any) -> None:
    machines = fleet.launch(2, spread=True, max_restarts=1)
    # Not the head: Ray ends with that.
    head = ray.get_runtime_context().get_node_id()[:6]
    (lost,) = [machine for machine in machines if not machine.node.endswith(head)]
    (kept,) = [machine for machine in machines if machine is not lost]
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    until(lambda: state(fleet, lost.name)[:2] == (FleetState.RUNNING, 2), "it runs again")
    assert state(fleet, lost.name)[2] == kept.node
    assert state(fleet, kept.name) == (FleetState.RUNNING, 1, kept.node)
    with pytest.raises(MachineLostError, match="has left"):
        list(fleet.map(task(shape), [lost]))


def node_numbers() -> set[str]:
    """Return the ends of the names of all nodes."""
    return {node["NodeID"][:6] for node in ray.nodes() if node["Alive"]}


@pytest.fixture
def far_node(cluster: Any, tmp_path: Path) -> Iterator[str]:
    """Add a node without the files of this program's folder; return the end of its name."""
    known = node_numbers()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        node = cluster.add_node(num_cpus=2, memory=2 << 30, object_store_memory=STORE)
    (number,) = node_numbers() - known
    yield number
    cluster.remove_node(node)


def test_an_image_of_this_computer_is_copied_to_a_node_without_it(
    far_node: str, fleet: Fleet
) -> None:
    guests.qemu()
    # Each process has another file under this path, or none.
    image = Path("/proc/self/cwd/disk.raw")
    image.write_bytes(os.urandom(3 * PIECE + 5000))
    for node in fleet._link.ask("nodes"):
        if not node.endswith(far_node):
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


def test_a_fleet_needs_a_valid_name() -> None:
    with pytest.raises(UsageError, match="cannot be a fleet's name"), kju.fleet.open(name="a/b"):
        pass
