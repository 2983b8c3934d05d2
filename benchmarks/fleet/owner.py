"""A program with machines on a cluster, which is killed at a random moment: see kills.py.

    python -m benchmarks.fleet.owner fleet|plain ADDRESS NAME

It starts two machines, runs a function beside each, ends them and begins again. ``fleet`` uses
`kju.fleet`, ``plain`` an actor of Ray for each QEMU, which it starts with `subprocess`. It prints a
line for each step.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import subprocess
import sys
import time
from typing import Any

import kju
import kju.fleet

#: QEMU's arguments: firmware without a disk.
ARGUMENTS = ["-accel", "tcg", "-m", "32", "-nic", "none"]
#: Machines at a time.
COUNT = 2
#: The longest time of a function beside a machine.
WORK = 1.0
#: The fleet of all programs.
FLEET = "kills"


def work(machine: kju.Machine) -> Any:
    """Read a machine's screen, and take some time."""
    time.sleep(random.uniform(0, WORK))
    return machine.screen.frame().shape


class PlainMachine:
    """A QEMU in an actor of Ray, started with `subprocess`."""

    def __init__(self) -> None:
        words = ["qemu-system-x86_64", "-display", "none", *ARGUMENTS]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def work(self) -> int | None:
        time.sleep(random.uniform(0, WORK))
        return self.process.poll()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def own_machines(address: str, name: str) -> None:
    """Use machines of a fleet until this program is killed."""
    with kju.fleet.open(address, name=FLEET, args=ARGUMENTS) as fleet:
        print("open", flush=True)
        for number in itertools.count():
            with reported():
                machines = fleet.launch(COUNT, name=f"{name}-{number}", max_restarts=1)
                print("launched", *(machine.name for machine in machines), flush=True)
                for done, _ in fleet.map(work, machines):
                    print("worked", done, flush=True)
                for machine in machines:
                    machine.stop()
                print("stopped", flush=True)


def own_actors(address: str, name: str) -> None:
    """Use QEMUs in actors until this program is killed."""
    import ray

    ray.init(address, namespace="kju", log_to_driver=False)
    print("open", flush=True)
    kind: Any = ray.remote(PlainMachine)
    while True:
        with reported():
            actors = [kind.options(num_cpus=0.05, max_restarts=1).remote() for _ in range(COUNT)]
            ray.get([each.work.remote() for each in actors])
            print("launched", *(["qemu"] * COUNT), flush=True)
            ray.get([each.work.remote() for each in actors])
            ray.get([each.stop.remote() for each in actors])
            print("stopped", flush=True)


@contextlib.contextmanager
def reported() -> Any:
    """Print an error of a kill, and go on after a moment."""
    try:
        yield
    except Exception as error:  # Ray's errors have no common root
        print("error", type(error).__name__, str(error).splitlines()[:1], flush=True)
        time.sleep(0.2)


if __name__ == "__main__":
    verb, where, own_name = sys.argv[1:]
    {"fleet": own_machines, "plain": own_actors}[verb](where, own_name)
