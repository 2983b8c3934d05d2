"""Bad days of a fleet: two programs at once, a node that is stopped for long, Ray's head killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ray_cluster import add_node, ray_cluster, ray_folders
from support.wait import HANG, until

pytest.importorskip("ray")
#: These take minutes, in which Ray starts and ends clusters.
pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(500),
    pytest.mark.filterwarnings("ignore"),
]

#: Seconds for which a node is stopped: longer than a lease.
STOPPED = 30.0
#: Answers each line, an expression, with a line of JSON.
PROGRAM = """
import json, sys, kju.fleet
def names(machines):
    return [machine.name for machine in machines]
def states():
    return {each.name: [each.state.value, each.generation, each.node] for each in fleet.machines()}
with kju.fleet.open(sys.argv[1], name="lab", xvfb=True) as fleet:
    print(json.dumps("open"), flush=True)
    for line in sys.stdin:
        try:
            answer = eval(line)
        except Exception as error:
            answer = {"error": type(error).__name__, "text": str(error)}
        print(json.dumps(answer), flush=True)
"""


class Program:
    """A program with the fleet open."""

    def __init__(self, address: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, address],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def send(self, expression: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """Return the next answer; None if the program has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return json.loads(line) if line else None

    def ask(self, expression: str) -> Any:
        self.send(expression)
        return self.answer()

    def close(self) -> str:
        """End the program; return its errors."""
        return self.process.communicate(timeout=HANG)[1]


class Node:
    """A node with a folder of running machines of its own, as a computer has."""

    def __init__(self, cluster: Any, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o700)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(folder))
            self.ray = add_node(cluster)

    def processes(self, word: str = "") -> list[int]:
        """Return the processes of this node whose command line contains a word."""
        mark = f"XDG_RUNTIME_DIR={self.folder}\0".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words, environment = ((process / n).read_bytes() for n in ("cmdline", "environ"))
                if word.encode() in words and mark in environment:
                    found.append(int(process.name))
        return found

    def machines(self) -> list[int]:
        """Return the emulators' processes, one for each machine."""
        return self.processes("Xvfb")

    def hosts(self) -> list[int]:
        """Return the hosts, and the process of a keeper that forks them."""
        return self.processes("kju.host")

    def kill_ray(self) -> None:
        for infos in list(self.ray.all_processes.values()):
            for info in infos:
                info.process.kill()


class Scene:
    """A cluster of two nodes."""

    def __init__(self, cluster: Any, head: Node, other: Node) -> None:
        self.cluster = cluster
        self.head = head
        self.other = other


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ray_folders(tmp_path_factory), ray_cluster(0, connect=False) as cluster:
        head, other = (Node(cluster, tmp_path_factory.mktemp(name)) for name in ("n1", "n2"))
        yield Scene(cluster, head, other)
        for pid in (each for node in (head, other) for each in node.machines() + node.hosts()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(scene: Scene) -> Iterator[Callable[..., Program]]:
    """Return a function that starts programs; they end with the test."""
    programs = []

    def begin() -> Program:
        programs.append(Program(scene.cluster.address))
        return programs[-1]

    yield begin
    for program in programs:
        program.process.kill()
        program.process.communicate()


def test_two_programs_open_one_fleet_and_launch_at_the_same_time(
    scene: Scene, start: Callable[..., Program]
) -> None:
    first, second = programs = [start() for _ in range(2)]
    assert [each.answer() for each in programs] == ["open", "open"]
    for each in programs:
        each.send("names(fleet.launch(2))")
    names = [each.answer() for each in programs]
    assert len({*names[0], *names[1]}) == 4, names
    assert sorted(first.ask("states()")) == sorted(names[0] + names[1])
    # The machines of a program end with it, and not those of the other one.
    assert second.close() == ""
    until(
        lambda: {first.ask("states()")[name][0] for name in names[1]} == {"ended"},
        "the machines of the closed program have ended",
    )
    states = first.ask("states()")
    assert {states[name][0] for name in names[0]} == {"running"}
    assert first.close() == ""
    until(lambda: not scene.head.machines() + scene.other.machines(), "all have ended")


def test_a_machine_of_a_node_that_is_stopped_for_long_does_not_exist_twice(
    scene: Scene, start: Callable[..., Program]
) -> None:
    program = start()
    assert program.answer() == "open"
    program.ask("names(fleet.launch(2, name='a', spread=True, max_restarts=1))")
    assert (len(scene.head.machines()), len(scene.other.machines())) == (1, 1)
    names = [name for name in program.ask("states()") if name.startswith("a-")]
    stopped = scene.other.processes()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    until_at = time.monotonic() + STOPPED
    until(
        lambda: (
            sorted(program.ask("states()")[name][:2] for name in names)
            == [["running", 1], ["running", 2]]
        ),
        "the machine runs on the other node",
    )
    assert len(scene.head.machines()) == 2
    until(lambda: time.monotonic() > until_at, "it was stopped for long")
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    until(lambda: not scene.other.machines(), "the old machine has ended")
    states = program.ask("states()")
    assert sorted(states[name][:2] for name in names) == [["running", 1], ["running", 2]]
    assert len({states[name][2] for name in names}) == 1


def test_machines_end_when_the_head_of_ray_is_killed(
    scene: Scene, start: Callable[..., Program]
) -> None:
    program = start()
    assert program.answer() == "open"
    program.ask("names(fleet.launch(2))")
    assert scene.head.machines()
    scene.head.kill_ray()
    until(
        lambda: not scene.head.machines() + scene.head.hosts(),
        "the machines end with their leases, and the process that forked their hosts",
    )
    # Ray ends programs on its head; one that goes on gets an error.
    with contextlib.suppress(BrokenPipeError):
        answer = program.ask("states()")
        assert answer is None or answer["error"] == "UnavailableError", answer
