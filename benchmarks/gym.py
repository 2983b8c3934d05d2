"""Environments: steps per second, memory, and the hosts' CPU of machines that nobody waits for.

One guest with a moving box, by `kju.gym.Env` with free steps and by a loop of vncdotool: press or
release a key, take the screen. Then eight machines in one `VectorEnv` and in Gymnasium's
`AsyncVectorEnv` over the same `Env`, each in a process of its own, so that its memory is known.

gym-anything has a faster path on QEMU's D-Bus display; it is not on PyPI, and is not compared.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import kju
from kju.gym import ChordActions, Env, Free, VectorEnv

from . import guests, rig
from .measure import Figure, amount, cpu_seconds, own_memory, progress
from .peers import WAYS
from .viewer import missing

TURNS = 3
MACHINES = 8
SIZE = "1024x768"
#: Frames per second of each of the eight guests, every pixel of each.
RATE = 10
KEYS = ChordActions("", "a")
#: Seconds between two pictures of a machine that nobody waits for.
BETWEEN = 10.0

Loop = Callable[[int], object]


def per_second(step: Loop, seconds: float) -> float:
    """Return the steps per second of a loop; each call gets its number."""
    for number in range(4):
        step(number)
    done, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        step(done)
        done += 1
    return done / took


# ---- One machine


@contextlib.contextmanager
def our_loops(name: str) -> Iterator[dict[str, Loop]]:
    """Yield a step without a key, and one with a press or a release."""
    with Env(name, actions=KEYS) as env:
        env.reset()
        yield {"none": lambda _: env.step(0), "key": lambda number: env.step(number % 2)}


@contextlib.contextmanager
def their_loops(place: dict[str, str]) -> Iterator[dict[str, Loop]]:
    """Yield the same of vncdotool."""
    from .peers.dotool import Dotool

    client = Dotool(place, "")

    def with_key(number: int) -> None:
        client.key(number % 2 == 1)
        client.grab()

    yield {"none": lambda _: client.grab(), "key": with_key}


def one_machine(folder: str, seconds: float) -> Iterator[Figure]:
    arguments = guests.measured("VGA", via="vram", mode="box", size=SIZE)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(rig.of_kju(folder, arguments, "kju-gym"))
        loops = {"kju": stack.enter_context(our_loops(ours.name))}
        if not missing("vncdotool"):
            theirs = stack.enter_context(rig.of_qemu(folder, arguments, "vnc"))
            loops["vncdotool"] = stack.enter_context(their_loops(theirs.where))
        rates: dict[tuple[str, str], list[float]] = {}
        for turn in range(TURNS):
            for way, kinds in loops.items():
                progress(f"steps: {way}", turn, TURNS)
                for kind, step in kinds.items():
                    rates.setdefault((way, kind), []).append(per_second(step, seconds))
    middle = {key: statistics.median(values) for key, values in rates.items()}
    for kind, words, least in (("none", "no key", 20), ("key", "a key each", 3)):
        rate = middle["kju", kind]
        yield Figure("gym", f"environment steps, 1024x768, {words}", rate, "/s", None, "")
        if ("vncdotool", kind) in middle:
            peer = middle["vncdotool", kind]
            yield Figure("gym", f"times as many steps as a loop of vncdotool, {words}", rate / peer,
                         "x", None, WAYS["vncdotool"].title, f"{rate:.0f}/s against {peer:.0f}/s",
                         least)  # fmt: skip


# ---- Eight machines


@contextlib.contextmanager
def machines(folder: str) -> Iterator[list[rig.Rig]]:
    """Run guests that draw `RATE` frames per second."""
    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    with contextlib.ExitStack() as stack:
        found = []
        for number in range(MACHINES):
            progress("eight machines start", number, MACHINES)
            found.append(stack.enter_context(rig.of_kju(folder, arguments, f"kju-gym-{number}")))
            found[-1].line.tell("still")
            if (machine := found[-1].machine) is not None:
                machine.screen.set_rate(0)  # the program that launched it looks, too
        yield found


def child(kind: str, names: list[str], seconds: float) -> dict[str, float]:
    """Measure one kind of vector environment in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.gym", kind, str(seconds), *names]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{kind}: {done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measured_child(kind: str, seconds: float, names: list[str]) -> dict[str, float]:
    """Return the steps of all machines per second, and the memory of the processes."""
    from gymnasium.vector import AsyncVectorEnv

    envs: Any
    if kind == "native":
        envs = VectorEnv(names, actions=KEYS)
    else:
        envs = AsyncVectorEnv([functools.partial(Env, name, actions=KEYS) for name in names])
    envs.reset(seed=1)
    idle = np.zeros(len(names), np.int64)
    rates = {
        "none": per_second(lambda _: envs.step(idle), seconds) * len(names),
        "key": per_second(lambda number: envs.step(idle + number % 2), seconds) * len(names),
    }
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    memory = sum(own_memory(pid) for pid in [os.getpid(), *map(int, children)])
    envs.close()
    return rates | {"memory": memory / (1 << 20)}


def eight(rigs: list[rig.Rig], seconds: float) -> Iterator[Figure]:
    names = [each.name for each in rigs]
    results: dict[str, list[dict[str, float]]] = {"native": [], "async": []}
    for turn in range(TURNS):
        for kind, taken in results.items():
            progress(f"eight machines: {kind}", turn, TURNS)
            taken.append(child(kind, names, seconds))
    middle = {
        kind: {name: statistics.median(t[name] for t in taken) for name in taken[0]}
        for kind, taken in results.items()
    }
    ours, theirs = middle["native"], middle["async"]
    peer = "Gymnasium's AsyncVectorEnv over the same Env"
    for kind, words, least in (("none", "no key", 1.5), ("key", "a key each", None)):
        detail = f"{ours[kind]:.0f}/s against {theirs[kind]:.0f}/s, all machines"
        yield Figure("gym", f"times as many steps of eight machines, {words}",
                     ours[kind] / theirs[kind], "x", None, peer, detail, least)  # fmt: skip
    detail = f"{ours['memory']:.0f} MB against {theirs['memory']:.0f} MB"
    yield Figure("gym", "memory of the vector environment", ours["memory"] / theirs["memory"], "x",
                 0.2, peer, detail)  # fmt: skip


# ---- Machines that nobody waits for


def hosts_share(rigs: list[rig.Rig], seconds: float, step: Callable[[], object]) -> float:
    """Return the percent of a core that all hosts use together; *step* is called all the time."""
    before, start = sum(cpu_seconds(each.host) for each in rigs), time.monotonic()
    while time.monotonic() < start + seconds:
        step()
    return 100 * (sum(cpu_seconds(r.host) for r in rigs) - before) / (time.monotonic() - start)


def unwaited(rigs: list[rig.Rig]) -> Iterator[Figure]:
    """Measure hosts of animating guests: pictures only, and waited for."""
    for each in rigs:
        each.line.tell("animate")
        each.line.tell(f"rate {RATE}")
    names = [each.name for each in rigs]
    window = 2 * BETWEEN
    pause = functools.partial(time.sleep, 0.2)
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(kju.attach(name)) for name in names]
        for machine in waiting:  # each guest draws
            machine.screen.wait(timeout=60)
        progress("hosts: waited for", 0, 2)
        versions = [machine.screen.version for machine in waiting]
        waited = hosts_share(rigs, window, pause)
        drawn = [m.screen.version - v for m, v in zip(waiting, versions, strict=True)]
        for machine in waiting:
            machine.close()
    envs = VectorEnv(names, actions=KEYS, stepping=Free(rate=0))
    envs.reset()
    idle = np.zeros(len(names), np.int64)
    time.sleep(3)  # until the sources of the viewers have ended
    progress("hosts: pictures only", 1, 2)
    due = [time.monotonic()]

    def picture() -> None:
        if time.monotonic() >= due[0]:
            due[0] += BETWEEN
            envs.step(idle)
        pause()

    share = hosts_share(rigs, window, picture)
    took = cpu_of(rigs, lambda: envs.step(idle))
    envs.close()
    detail = (
        f"{waited:.1f} % with viewers, {min(drawn) / window:.0f} to {max(drawn) / window:.0f}"
        f" pictures a second; one picture takes a host {took * 1000:.1f} ms"
    )
    name = f"hosts of eight animating machines, a picture of each every {BETWEEN:g} s"
    yield Figure("gym", name, share, "% of a core", 1.0, "the same with viewers", detail)


def cpu_of(rigs: list[rig.Rig], step: Callable[[], object], times: int = 20) -> float:
    """Return the CPU seconds of a host for one step."""
    before = sum(cpu_seconds(each.host) for each in rigs)
    for _ in range(times):
        step()
    return (sum(cpu_seconds(each.host) for each in rigs) - before) / times / len(rigs)


def figures(folder: str) -> Iterator[Figure]:
    seconds = min(amount("SECONDS", 3), 5)
    yield from one_machine(folder, seconds)
    with machines(folder) as rigs:
        yield from eight(rigs, seconds)
        yield from unwaited(rigs)


if __name__ == "__main__":
    print(json.dumps(measured_child(sys.argv[1], float(sys.argv[2]), sys.argv[3:])))
