"""From publishing to awake: a Python process against a C program on the same futex."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kju import Rect
from kju.memory import SurfaceProducer

from .measure import Figure, micro, percentile

HERE = Path(__file__).parent
ROUNDS = 300
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
    mark = surface.wait(mark).mark
    times.append(time.monotonic_ns() - int(stamp[0]))
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
    """What the system call costs that wakes nobody."""
    done = subprocess.run([compile_waiter(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1e9


def latencies(producer: SurfaceProducer, command: list[str]) -> list[float]:
    """Seconds from the stamp to awake, one waiter alone, publications 20 ms apart."""
    waiter = subprocess.Popen(
        [*command, producer.address, str(ROUNDS)], stdout=subprocess.PIPE, text=True
    )
    assert waiter.stdout and waiter.stdout.readline().strip() == "ready"
    stamp = producer.pixels[0, :2].reshape(8).view(np.uint64)
    # More than it counts: two publications that meet one wake are one to the waiter.
    for _ in range(2 * ROUNDS):
        if waiter.poll() is not None:
            break
        time.sleep(INTERVAL)
        stamp[0] = time.monotonic_ns()
        producer.publish(Rect(0, 0, 2, 1))
    output, _ = waiter.communicate(timeout=30)
    return [int(line) / 1e9 for line in output.split()]


def figures(folder: str) -> Iterator[Figure]:
    program = compile_waiter(folder)
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(2):
        with SurfaceProducer.create(f"{folder}/wake{turn}", capacity=4096) as producer:
            producer.set_mode(32, 32)
            theirs += latencies(producer, [program])
            ours += latencies(producer, [sys.executable, "-c", _WAITER])
    yield Figure(
        "wake",
        "publish to a waiting Python process awake, median",
        statistics.median(ours) / statistics.median(theirs),
        "x",
        2.0,
        "a C program on the same futex",
        f"{micro(statistics.median(ours))} against {micro(statistics.median(theirs))}, "
        f"p95 {micro(percentile(ours, 0.95))} against {micro(percentile(theirs, 0.95))}",
    )
