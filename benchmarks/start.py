"""The time until a program has a picture: imports, attaching, the command line."""

from __future__ import annotations

import atexit
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache

import kju

from . import guests
from .measure import Figure, in_turns, once, ratio

_TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"
_FIRST = """
import time, kju
t = time.perf_counter()
kju.attach("kju-bench", role="view").screen.frame(pixels="bgrx")
print(time.perf_counter() - t)
"""


@cache
def _compiled() -> str:
    """Return a folder for compiled modules; the first process that is measured fills it."""
    folder = tempfile.TemporaryDirectory(prefix="kju-bench-")
    atexit.register(folder.cleanup)
    return folder.name


def installed(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment with compiled modules, like those of an installed package."""
    own = {k: v for k, v in environment.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return own | {"PYTHONPYCACHEPREFIX": _compiled()}


def _seconds(program: str) -> float:
    """Return the seconds that a new process prints."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=installed())
    return float(done.stdout)


def imports() -> Iterator[Figure]:
    ours, numpy = [], []
    for module in ("kju", "numpy"):
        _seconds(_TIMED.format(f"import {module}"))
    for _ in range(15):
        ours.append(_seconds(_TIMED.format("import kju")))
        numpy.append(_seconds(_TIMED.format("import numpy")))
    yield Figure("start", "import kju", ratio(ours, numpy), "x", 2.0, "import numpy",
                 f"{statistics.median(ours) * 1e3:.0f} ms against "
                 f"{statistics.median(numpy) * 1e3:.0f} ms")  # fmt: skip


def attaching() -> Iterator[Figure]:
    def attach() -> None:
        with kju.attach("kju-bench", role="view") as machine:
            machine.screen.frame()

    with kju.launch(name="kju-bench", args=guests.paint("still", "virtio-vga")) as machine:
        until_size(machine, (1280, 800))
        first = [_seconds(_FIRST) for _ in range(15)]
        times = [once(attach) for _ in range(50)]
    yield Figure("start", "attach by name to first pixels (1280x800), a process's first",
                 statistics.median(first) * 1e3, "ms", 10, "",
                 f"slowest of 15 {max(first) * 1e3:.1f} ms; in a process that has attached "
                 f"before {statistics.median(times) * 1e3:.2f} ms")  # fmt: skip


def until_size(machine: kju.Machine, size: tuple[int, int]) -> None:
    """Wait until the screen has a size: the guest draws."""
    end = time.monotonic() + 90
    for change in machine.screen.changes(timeout=60):
        if (change.mode.width, change.mode.height) == size:
            return
        if time.monotonic() > end:
            raise TimeoutError(f"the guest did not reach {size}")


def command_line() -> Iterator[Figure]:
    command = [sys.executable, "-m", "kju.cli", "--help"]

    def run() -> None:
        subprocess.run(command, capture_output=True, check=True, env=installed())

    def bare() -> None:
        subprocess.run([sys.executable, "-c", ""], check=True)

    ours, python = in_turns(run, bare, rounds=15)
    yield Figure("start", "kju --help", statistics.median(ours) * 1e3, "ms", 150, "",
                 f"Python itself {statistics.median(python) * 1e3:.0f} ms")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    yield from imports()
    yield from command_line()
    yield from attaching()
