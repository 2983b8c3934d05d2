"""From a publication to the wake-up: a Python process against a C program on the same futex."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from kju import Rect
from kju.memory import SurfaceProducer

from .measure import Figure, micro, percentile

HERE = Path(__file__).parent
# Short turns, because the other load of the computer changes from second to second.
ROUNDS = 60
TURNS = 10
INTERVAL = 0.02

_WAITER = """
import sys, time
from kju import Surface
surface, mark = Surface(sys.argv[1]), None
mark = surface.mark
stamp = surface.view()[0, :2].reshape(8).view("u8")
print("ready", flush=True)
times = []
for _ in range(int(sys.argv[2])):
    change = surface.wait(mark)
    now = time.monotonic_ns()
    mark = change.mark
    times.append(now - int(stamp[0]))
print(*times, sep="\\n")
"""


def compile_waiter(folder: str) -> str:
    program = f"{folder}/wake"
    compiler = shutil.which("cc") or "gcc"
    subprocess.run(
        [
            compiler,
            "-O2",
            "-std=gnu11",
            f"-I{HERE.parent}/include",
            f"{HERE}/wake.c",
            "-o",
            program,
        ],
        check=True,
    )
    return program


def futex_seconds(folder: str) -> float:
    """Return the cost of the system call without a waiter, seconds."""
    done = subprocess.run([compile_waiter(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e9


def latencies(producer: SurfaceProducer, command: list[str], cpu: int | None) -> list[float]:
    """Return the seconds from the stamp to the wake-up: one waiter, publications 20 ms apart."""
    waiter = subprocess.Popen(
        [*command, producer.address, str(ROUNDS)], stdout=subprocess.PIPE, text=True
    )
    assert waiter.stdout and waiter.stdout.readline().strip() == "ready"
    if cpu is not None:
        os.sched_setaffinity(waiter.pid, {cpu})
    stamp = producer.pixels[0, :2].reshape(8).view(np.uint64)
    # More than the waiter counts: two publications before one wake-up count once.
    for _ in range(2 * ROUNDS):
        if waiter.poll() is not None:
            break
        time.sleep(INTERVAL)
        stamp[0] = time.monotonic_ns()
        producer.publish(Rect(0, 0, 2, 1))
    output, _ = waiter.communicate(timeout=30)
    return [int(line) / 1e9 for line in output.split()]


def compare(folder: str, program: str, where: str, cpu: int | None) -> Figure:
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    for turn in range(TURNS):
        with SurfaceProducer.create(f"{folder}/wake{turn}-{cpu}", capacity=4096) as producer:
            producer.set_mode(32, 32)
            theirs.append(latencies(producer, [program], cpu))
            ours.append(latencies(producer, [sys.executable, "-c", _WAITER], cpu))
    ratios = [
        statistics.median(a) / statistics.median(b) for a, b in zip(ours, theirs, strict=True)
    ]
    all_ours, all_theirs = list(chain(*ours)), list(chain(*theirs))
    return Figure(
        "wake",
        f"publish to a waiting Python process awake, median, {where}",
        statistics.median(ratios),
        "x",
        2.0,
        "a C program on the same futex",
        f"{micro(statistics.median(all_ours))} against {micro(statistics.median(all_theirs))}, "
        f"p95 {micro(percentile(all_ours, 0.95))} against {micro(percentile(all_theirs, 0.95))}; "
        f"{TURNS} turns, {min(ratios):.2f} to {max(ratios):.2f}",
    )


def figures(folder: str) -> Iterator[Figure]:
    program = compile_waiter(folder)
    # By default, a scheduler may put the C program on the producer's processor, where no other
    # processor has to be woken, and the Python one elsewhere: then that is what is measured.
    yield compare(folder, program, "processors as the scheduler likes", None)
    allowed = os.sched_getaffinity(0)
    if len(allowed) > 1:
        first, second, *_ = sorted(allowed)
        os.sched_setaffinity(0, {first})
        try:
            yield compare(folder, program, "producer and waiter on one each", second)
        finally:
            os.sched_setaffinity(0, allowed)
