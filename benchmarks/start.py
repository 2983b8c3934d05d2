"""How long a program waits before it sees anything: imports, attaching, the command line."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import kju

from . import guests
from .measure import Figure, in_turns, once, percentile, ratio

_TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
_IMPORTS = {
    "import kju": "import kju",
    "from kju import Surface, attach": "from kju import Surface, attach",
}


def _import_seconds(statement: str) -> float:
    command = [sys.executable, "-c", _TIMED.format(statement)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def imports() -> Iterator[Figure]:
    rounds = range(15)
    times = {name: [] for name in ("import numpy", *_IMPORTS)}  # type: dict[str, list[float]]
    for _ in rounds:
        for name, taken in times.items():
            taken.append(_import_seconds(name))
    numpy = times["import numpy"]
    for name in _IMPORTS:
        yield Figure("start", name, ratio(times[name], numpy), "x", 2.0, "import numpy",
                     f"{statistics.median(times[name]) * 1e3:.0f} ms against "
                     f"{statistics.median(numpy) * 1e3:.0f} ms")  # fmt: skip


def attaching() -> Iterator[Figure]:
    def attach() -> None:
        with kju.attach("kju-bench", role="view") as machine:
            machine.screen.snapshot()

    with kju.launch(name="kju-bench", args=guests.paint("still", "virtio-vga")) as machine:
        _until_size(machine, (1280, 800))
        first = once(attach)
        times = [once(attach) for _ in range(50)]
    yield Figure("start", "attach by name to first pixels (1280x800), p95",
                 percentile(times, 0.95) * 1e3, "ms", 10, "",
                 f"median {statistics.median(times) * 1e3:.2f} ms, "
                 f"the process's first {first * 1e3:.2f} ms")  # fmt: skip


def _until_size(machine: kju.Machine, size: tuple[int, int]) -> None:
    end = time.monotonic() + 90
    for change in machine.screen.changes(timeout=60):
        if (change.mode.width, change.mode.height) == size:
            return
        if time.monotonic() > end:
            raise TimeoutError(f"the guest did not reach {size}")


def command_line() -> Iterator[Figure]:
    command = [sys.executable, "-m", "kju.apps", "--help"]

    def run() -> None:
        subprocess.run(command, capture_output=True, check=True)

    def bare() -> None:
        subprocess.run([sys.executable, "-c", ""], check=True)

    ours, python = in_turns(run, bare, rounds=15)
    yield Figure("start", "kju --help", statistics.median(ours) * 1e3, "ms", 150, "",
                 f"Python itself {statistics.median(python) * 1e3:.0f} ms")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    yield from imports()
    yield from command_line()
    yield from attaching()
