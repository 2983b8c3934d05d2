"""A fleet on two Ray nodes of this computer: launches, memory, screens, and a killed node.

The peer is an actor of Ray for each machine, with `kju.launch` in its constructor and a method that
returns the screen: the usual way of Ray's users to have a machine on another computer.
`python -m benchmarks fleet_kills` counts what kills leave behind.
"""

from __future__ import annotations

import contextlib
import functools
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any

import kju
import kju.fleet

from .. import guests
from ..measure import Figure, amount, once, progress
from ..start import until_size
from .cluster import LocalCluster, folders, settled

#: Machines that are started at the same time, and how often.
COUNT, ROUNDS = 16, 2
#: Launches of one machine, each way.
LAUNCHES = 9
#: Screens in a turn, and turns.
SCREENS, TURNS = 60, 3
#: The size of the guest's screen.
_SIZE = (1280, 800)
#: The memory that a fork is expected to write.
_WRITTEN = "64M"
#: Seconds for anything.
_LIMIT = 240.0
_PEER = "an actor for each machine, with kju.launch"


class MachineActor:
    """A machine in an actor of Ray."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.machine = kju.launch(name=name, args=arguments)

    def name(self) -> str:
        return self.machine.name

    def boot(self) -> None:
        until_size(self.machine, _SIZE)

    def screen(self) -> Any:
        return self.machine.screen.frame()

    def stop(self) -> None:
        self.machine.stop()


class Rig:
    """The cluster, a fleet on it, and the machines of both ways.

    Args:
        mark: The mark of the processes.
        cluster: The cluster, which this program is connected to.
    """

    def __init__(self, mark: str, cluster: LocalCluster) -> None:
        import ray

        self.mark = mark
        self.cluster = cluster
        self.ray: Any = ray
        self.arguments = guests.paint("still", "virtio-vga")

    def actors(self, count: int, **options: Any) -> list[Any]:
        """Start machines in actors; return when all run."""
        kind = self.ray.remote(MachineActor).options(
            num_cpus=0.05, **({"scheduling_strategy": "SPREAD"} | options)
        )
        made = [kind.remote(f"actor-{number}", self.arguments) for number in range(count)]
        self.ray.get([each.name.remote() for each in made], timeout=_LIMIT)
        return made

    def end_actors(self, actors: list[Any]) -> None:
        """End machines and actors."""
        self.ray.get([each.stop.remote() for each in actors], timeout=_LIMIT)
        for each in actors:
            self.ray.kill(each)

    def end_machines(self, fleet: kju.fleet.Fleet) -> None:
        """End the machines of a fleet."""
        for status in fleet.machines():
            if status.state is not kju.fleet.FleetState.ENDED:
                fleet.machine(status.name).stop()


# ---- Launches


def one_launch(rig: Rig, fleet: kju.fleet.Fleet) -> Iterator[Figure]:
    """Compare a launch with `kju.launch` of the same machine."""
    times: dict[str, list[float]] = {"fleet": [], "alone": [], "detached": []}
    rounds = int(amount("LAUNCHES", LAUNCHES))
    for turn in range(rounds + 1):
        progress("fleet: launches", turn, rounds + 1)
        begin = time.perf_counter()
        machine = fleet.launch(name="one")
        times["fleet"].append(time.perf_counter() - begin)
        machine.stop()
        for way, detach in (("alone", False), ("detached", True)):
            begin = time.perf_counter()
            alone = kju.launch(name="alone", args=rig.arguments, detach=detach)
            times[way].append(time.perf_counter() - begin)
            alone.stop()
            alone.close()
    # The first of each way reads the files.
    middle = {way: statistics.median(taken[1:]) * 1e3 for way, taken in times.items()}
    yield Figure(
        "fleet", "fleet.launch to running, warm keeper, more than kju.launch",
        middle["fleet"] - middle["alone"], "ms", 50, "kju.launch of the same machine",
        f"{middle['fleet']:.0f} ms against {middle['alone']:.0f} ms;"
        f" with detach=True {middle['detached']:.0f} ms",
    )  # fmt: skip


class Sixteen:
    """The times and the memory of many machines at the same time, each way."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._count = int(amount("MACHINES", COUNT))
        self.seconds: dict[str, list[float]] = {"fleet": [], "actors": []}
        self.memory: dict[str, list[int]] = {"fleet": [], "actors": []}
        self.base_seconds: list[float] = []

    def by_actors(self, idle: int) -> None:
        """Start machines in actors.

        Args:
            idle: The memory before it.
        """
        progress(f"fleet: {self._count} actors", len(self.seconds["actors"]), ROUNDS)
        begin = time.perf_counter()
        actors = self._rig.actors(self._count)
        self.seconds["actors"].append(time.perf_counter() - begin)
        self.memory["actors"].append(settled(self._rig.mark) - idle)
        self._rig.end_actors(actors)

    def by_fleet(self, fleet: kju.fleet.Fleet, idle: int) -> None:
        """Start forks of one base, which was made before.

        Args:
            fleet: The fleet.
            idle: The memory without it.
        """
        progress(f"fleet: {self._count} forks", len(self.seconds["fleet"]), ROUNDS)
        begin = time.perf_counter()
        first = fleet.launch(name="first")
        with first.attach() as machine:
            until_size(machine, _SIZE)
        base = first.freeze("bench")
        self.base_seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        fleet.launch(self._count, name="many", spread=True, fork=base, fork_memory=_WRITTEN)
        self.seconds["fleet"].append(time.perf_counter() - begin)
        first.stop()  # the forks hold the base
        self.memory["fleet"].append(settled(self._rig.mark) - idle)
        self._rig.end_machines(fleet)

    def figures(self) -> Iterator[Figure]:
        """Yield the comparison."""
        seconds = {way: statistics.median(taken) for way, taken in self.seconds.items()}
        memory = {way: statistics.median(taken) / 1e6 for way, taken in self.memory.items()}
        yield Figure(
            "fleet", f"{self._count} machines of one base on two nodes, sooner", seconds["actors"]
            / seconds["fleet"], "x", None, _PEER,
            f"{seconds['fleet']:.1f} s against {seconds['actors']:.1f} s; forks go on from a guest"
            f" that has booted, and their base took {statistics.median(self.base_seconds):.1f} s",
            least=5,
        )  # fmt: skip
        yield Figure(
            "fleet", f"memory of {self._count} machines without their QEMUs",
            memory["fleet"] / memory["actors"], "x", 0.25, _PEER,
            f"{memory['fleet']:.0f} MB against {memory['actors']:.0f} MB, controller and keepers"
            " included",
        )  # fmt: skip


# ---- Screens


def read_screens(count: int, machine: kju.Machine) -> list[float]:
    """Read screens in a task; return the seconds of each."""
    until_size(machine, _SIZE)
    return [once(machine.screen.frame) for _ in range(count + 1)][1:]


def screens(rig: Rig, fleet: kju.fleet.Fleet) -> Iterator[Figure]:
    """Compare screens in a task of `map` with those that an actor of the same node returns."""
    count = int(amount("SCREENS", SCREENS))
    strategy = rig.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        rig.ray.get_runtime_context().get_node_id(), soft=False
    )
    machine = fleet.launch(name="shown")
    (actor,) = rig.actors(1, scheduling_strategy=strategy)
    ours: list[float] = []
    theirs: list[float] = []
    rig.ray.get(actor.boot.remote(), timeout=_LIMIT)
    for turn in range(TURNS):
        progress("fleet: screens", turn, TURNS)
        for _, taken in fleet.map(functools.partial(read_screens, count), [machine]):
            ours += taken
        theirs += [once(lambda: rig.ray.get(actor.screen.remote())) for _ in range(count)]
    rig.end_actors([actor])
    machine.stop()
    task, returned = statistics.median(ours) * 1e3, statistics.median(theirs) * 1e3
    yield Figure(
        "fleet", "screens into NumPy in a task of map, sooner", returned / task, "x", None,
        "an actor of the program's node that returns them",
        f"{task:.3f} ms against {returned:.1f} ms, {_SIZE[0]}x{_SIZE[1]}", least=50,
    )  # fmt: skip


# ---- A killed node


def killed_node(rig: Rig, fleet: kju.fleet.Fleet) -> Iterator[Figure]:
    """Kill the second node, with all its processes of Ray."""
    own = rig.ray.get_runtime_context().get_node_id()[:6]
    machines = fleet.launch(2, name="moved", spread=True, max_restarts=1)
    name = next(each.name for each in machines if not each.node.endswith(own))
    handle = fleet.machine(name)
    progress("fleet: a node is killed", 0, 1)
    begin = time.monotonic()
    rig.cluster.kill_node()
    noticed = started = 0.0
    while time.monotonic() - begin < _LIMIT:
        status = handle.status()
        now = time.monotonic() - begin
        if not noticed and status.reason:
            noticed = now
        if not started and status.generation == 2:
            started = now
        if status.generation == 2 and status.state is kju.fleet.FleetState.RUNNING:
            break
        time.sleep(0.02)
    else:
        raise TimeoutError("the machine of the killed node does not run again")
    yield Figure("fleet", "a node is killed: noticed", noticed, "s", 10, "")
    yield Figure(
        "fleet", "a node is killed: its machine is started elsewhere", started, "s", 10, "",
        f"it runs {now - started:.1f} s later; until its lease of 15 s has ended it may still run",
    )  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    import ray

    with contextlib.ExitStack() as stack:
        mark = stack.enter_context(folders())
        cluster = stack.enter_context(contextlib.closing(LocalCluster()))
        ray.init(cluster.address, namespace="kju", log_to_driver=False)
        stack.callback(ray.shutdown)
        rig = Rig(mark, cluster)
        many = Sixteen(rig)
        many.by_actors(settled(mark))
        idle = settled(mark)
        begin = time.perf_counter()
        fleet = stack.enter_context(kju.fleet.open(name="bench", args=rig.arguments))
        yield Figure("fleet", "fleet.open on two nodes without keepers",
                     time.perf_counter() - begin, "s", None, "",
                     f"load {os.getloadavg()[0]:.1f}")  # fmt: skip
        yield from one_launch(rig, fleet)
        many.by_fleet(fleet, idle)
        for _ in range(ROUNDS - 1):
            many.by_actors(settled(mark))
            many.by_fleet(fleet, idle)
        yield from many.figures()
        yield from screens(rig, fleet)
        yield from killed_node(rig, fleet)
