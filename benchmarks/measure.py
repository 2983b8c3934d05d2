"""Alternating timing, CPU accounting, and the form of all figures."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One figure: at most `limit`, at least `least`; without both it is information only."""

    group: str
    name: str
    value: float
    unit: str
    limit: float | None
    peer: str
    detail: str = ""
    least: float | None = None

    @property
    def reached(self) -> bool | None:
        if self.limit is None and self.least is None:
            return None
        return (self.limit is None or self.value <= self.limit) and (
            self.least is None or self.value >= self.least
        )

    @property
    def target(self) -> str:
        if self.limit is not None:
            return f"at most {self.limit:g} {self.unit}"
        return "" if self.least is None else f"at least {self.least:g} {self.unit}"


@dataclass(frozen=True)
class Curve:
    """The data of a plot: one line, or one row of bars if `x` are words."""

    group: str
    plot: str
    name: str
    x: list[float] | list[str]
    y: list[float]
    unit: str


#: Receives the name of the measurement, its progress, and its total.
Tell = Callable[[str, float, float], None]
_tell: list[Tell] = []


def tell_to(tell: Tell) -> None:
    """Report progress to *tell* from now on."""
    _tell[:] = [tell]


def progress(what: str, done: float, of: float) -> None:
    for tell in _tell:
        tell(what, done, of)


def amount(name: str, default: float) -> float:
    """Return the amount to measure: ``KJU_BENCH_NAME`` in the environment, or the default."""
    return float(os.environ.get(f"KJU_BENCH_{name}", default))


def once(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turns(
    *calls: Callable[[], object], rounds: int, between: Callable[[], object] | None = None
) -> list[list[float]]:
    """Return the seconds of each call, A B A B …; `between` runs before each one, untimed."""
    for call in calls:
        call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            if between:
                between()
            taken.append(once(call))
    return times


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios of successive pairs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us"


class Cold:
    """Evicts the measured data from the processor's caches by writing more than they hold."""

    def __init__(self) -> None:
        import numpy as np

        sizes = [Path(f"/sys/devices/system/cpu/cpu0/cache/index{i}/size") for i in range(4)]
        largest = max(
            (int(p.read_text().strip().rstrip("K")) for p in sizes if p.exists()), default=32768
        )
        self._memory = np.zeros(largest * 1024 * 4, np.uint8)

    def __call__(self) -> None:
        self._memory += 1


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of a process so far.

    It is read from the process's CPU clock (`clock_getcpuclockid`, which Python has for threads
    only): ``/proc/PID/stat`` counts in steps of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)


def cpu_share(pid: int, seconds: float) -> float:
    """Return the percent of one core that a process uses over some time."""
    before, start = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds(pid) - before) / (time.monotonic() - start)


def own_memory(pid: int) -> int:
    """Return the USS in bytes: memory that would be free if the process ended."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")):
            total += int(line.split()[1]) * 1024
    return total


def written_memory(pid: int) -> int:
    """Return the bytes that only this process has written.

    Unlike the USS they do not depend on the other processes that map the same libraries: Qt's alone
    are 40 MB, which count from the moment when another program ends.
    """
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_Dirty:"):
            total += int(line.split()[1]) * 1024
    return total
