"""Wrong arguments, old handles and tasks that go wrong, on a node of Ray."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.ray_cluster import by_value as task
from support.ray_cluster import ray_cluster, ray_folders
from support.wait import HANG, until

import kju
from kju.errors import ClosedError, FleetFullError, MachineLostError, UsageError
from kju.fleet import FleetState
from kju.store import running

ray = pytest.importorskip("ray")
from kju.fleet import Fleet  # noqa: E402  it needs Ray

pytestmark = [pytest.mark.timeout(400), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with ray_folders(tmp_path_factory), ray_cluster(1) as made:
        yield made


@pytest.fixture(scope="module")
def fleet(cluster: Any) -> Iterator[Fleet]:
    with kju.fleet.open(name="lab", xvfb=True) as opened:
        yield opened


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"max_restarts": "1"}, "max_restarts is -1 to"),
        ({"max_restarts": None}, "max_restarts is -1 to"),
        ({"max_restarts": -2}, "max_restarts is -1 to"),
        ({"max_restarts": 10**30}, "max_restarts is -1 to"),
        ({"max_restarts": 1.5}, "max_restarts is -1 to"),
        ({"max_restarts": True}, "max_restarts is -1 to"),
        ({"spread": "yes"}, "spread is True or False"),
        ({"name": 3}, "name is a text"),
        ({"count": "3"}, "the number of machines is 1 to"),
        ({"count": True}, "the number of machines is 1 to"),
        ({"count": 2.0}, "the number of machines is 1 to"),
        ({"fork": "x"}, "'x' is not a base"),
        ({"snapshot": "ready"}, "snapshot needs an image"),
        ({"snapshot": ""}, "'' cannot be a snapshot's name"),
        ({"snapshot": 5, "image": "/none.qcow2"}, "5 cannot be a snapshot's name"),
    ],
)
def test_wrong_arguments_of_a_launch_are_refused(
    fleet: Fleet, arguments: dict[str, Any], fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        fleet.launch(**arguments)
    assert running.names() == []


def test_wrong_arguments_of_a_map_are_refused_before_a_task_runs(fleet: Fleet) -> None:
    machine = fleet.launch()
    for function, machines in ((len, [machine.name]), ("text", [machine])):
        with pytest.raises(UsageError, match="is not a"):
            list(fleet.map(function, machines))  # type: ignore[arg-type]
    machine.stop()


@pytest.mark.parametrize("name", [None, 3, "", "a/b", "x" * 33])
def test_what_cannot_be_the_name_of_a_fleet_is_refused(cluster: Any, name: Any) -> None:
    with pytest.raises(UsageError, match="cannot be a fleet's name"):
        kju.fleet.open(name=name).__enter__()


@pytest.mark.parametrize("address", ["1.2.3.4:6379", "127.0.0.1:1", "local", "nohost.invalid:1", 3])
def test_a_connected_program_opens_no_fleet_of_another_cluster(cluster: Any, address: Any) -> None:
    with pytest.raises(UsageError, match=r"connected to the Ray cluster|not the address"):
        kju.fleet.open(address).__enter__()


def test_a_connected_program_opens_a_fleet_by_any_address_of_its_cluster(cluster: Any) -> None:
    _, _, port = cluster.address.rpartition(":")
    for address in (None, "auto", cluster.address, f"127.0.0.1:{port}", f"localhost:{port}"):
        with kju.fleet.open(address, name="lab") as again:
            assert len(again.nodes()) == 1


def test_a_fleet_without_a_with_statement_says_so(cluster: Any) -> None:
    with pytest.raises(ClosedError, match="with statement"):
        kju.fleet.open().launch()


def test_an_old_handle_stops_no_later_machine_and_says_when_its_own_was_lost(fleet: Fleet) -> None:
    first = fleet.launch(name="again", max_restarts=1)
    os.kill(running.host_pid("again"), signal.SIGKILL)
    until(
        lambda: (
            (fleet.machine("again").generation, fleet.machine("again").status().state)
            == (2, FleetState.RUNNING)
        ),
        "it runs again",
    )
    for use in (
        first.stop,
        first.attach,
        lambda: list(fleet.map(task(seen), [first])),
        lambda: first.freeze("base"),
    ):
        with pytest.raises(MachineLostError) as raised:
            use()
        assert (raised.value.node, raised.value.generation) == (first.node, 1)
        assert raised.value.when == pytest.approx(time.time(), abs=HANG)
    assert fleet.machine("again").status().state is FleetState.RUNNING
    fleet.machine("again").stop()


def seen(machine: kju.Machine) -> tuple[int, ...]:
    return machine.screen.frame().shape


def exits(machine: kju.Machine) -> None:
    sys.exit(4)


def exits_well(machine: kju.Machine) -> None:
    sys.exit(0)


def interrupts(machine: kju.Machine) -> None:
    raise KeyboardInterrupt


def ends(machine: kju.Machine) -> None:
    os._exit(3)


@pytest.mark.parametrize("threads", [False, True])
def test_a_task_that_exits_costs_its_own_result_only(fleet: Fleet, threads: bool) -> None:
    several = fleet.launch(2)
    for function in (exits_well, exits, interrupts):
        results = dict(fleet.map(task(function), several, threads=threads, return_errors=True))
        for result in results.values():
            if function is exits_well:
                assert result is None
            else:
                assert isinstance(result.cause, RuntimeError), result
    assert len(dict(fleet.map(task(seen), several, threads=threads))) == 2
    for machine in several:
        machine.stop()


@pytest.mark.parametrize("threads", [False, True])
def test_a_task_that_ends_its_process_is_no_lost_machine(fleet: Fleet, threads: bool) -> None:
    machine = fleet.launch()
    ((_, error),) = fleet.map(task(ends), [machine], threads=threads, return_errors=True)
    assert isinstance(error, ray.exceptions.RayError)
    assert not isinstance(error, MachineLostError)
    assert machine.status().state is FleetState.RUNNING
    machine.stop()


def test_a_drained_node_gets_machines_again(fleet: Fleet) -> None:
    (node,) = fleet.nodes()
    fleet.drain(node)
    with pytest.raises(FleetFullError, match="is being drained"):
        fleet.launch()
    fleet.drain(node, undo=True)
    fleet.launch().stop()


def test_machines_of_another_fleet_take_their_room(fleet: Fleet, cluster: Any) -> None:
    (node,) = fleet.nodes()
    total = fleet._link.ask("nodes")[node].facts.total.memory
    with kju.fleet.open(name="second", xvfb=True) as second:
        machine = second.launch()
        until(
            lambda: fleet._link.ask("nodes")[node].facts.total.memory < total,
            "its memory is not free",
        )
        machine.stop()
    until(lambda: fleet._link.ask("nodes")[node].facts.total.memory == total, "it is free again")


def test_the_end_of_a_fleet_is_not_that_of_one_with_a_longer_name(cluster: Any) -> None:
    with (
        kju.fleet.open(name="x", xvfb=True) as one,
        kju.fleet.open(name="x-2", xvfb=True) as two,
    ):
        one._link.end_machines("the test is over")
        one._link.end_fleet()
        machine = two.launch()
        assert len(dict(two.map(task(seen), [machine]))) == 1
        machine.stop()
        assert "x" not in two._link.fleets() and "x-2" in two._link.fleets()
        two._link.end_fleet()
