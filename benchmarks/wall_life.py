"""python -m benchmarks.wall_life: machines start, end and are killed while the app shows them.

It prints the app's descriptors, threads and memory over the time, and fails if they grow. Machines
that are ended at random: by a request, by SIGKILL to the host, by SIGKILL to QEMU.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import kju

#: Seconds between two samples.
SAMPLE_SECONDS = 5.0
#: Growth from the second quarter to the last that is allowed: descriptors, threads, kB.
MOST = (2, 0, 4096)


class Sample(NamedTuple):
    descriptors: int
    threads: int
    uss: int  # kB


def sample() -> Sample:
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    return Sample(len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), private)


def end_at_random(machine: kju.Machine, choice: random.Random) -> None:
    way = choice.randrange(3)
    if way == 0:
        machine.stop()
    elif way == 1:
        os.kill(machine.host_pid, signal.SIGKILL)
    else:
        os.kill(machine.info()["qemu"]["pid"], signal.SIGKILL)


def churn(number: int, most: int, ended: threading.Event) -> None:
    """Start and end machines until *ended*; at most *most* run."""
    choice = random.Random(number)
    running: list[kju.Machine] = []
    count = 0
    while not ended.is_set():
        if len(running) < most and choice.random() < 0.6:
            count += 1
            name = f"life-{number}-{count % 32}"
            with contextlib.suppress(kju.KjuError):
                running.append(kju.launch(args=["-m", "16"], name=name, detach=True))
        elif running:
            machine = running.pop(choice.randrange(len(running)))
            with machine, contextlib.suppress(kju.KjuError, OSError, KeyError):
                end_at_random(machine, choice)
    for machine in running:
        with machine, contextlib.suppress(kju.KjuError):
            machine.stop()


def end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def run_app(seconds: float, report: Callable[[Sample], object]) -> list[Sample]:
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from kju.desktop.qt.app import Desktop

    app = QApplication(["kju"])
    desktop = Desktop()
    desktop.machines.open()
    desktop.window.show()
    samples: list[Sample] = []

    def take() -> None:
        samples.append(sample())
        report(samples[-1])

    timer = QTimer(interval=int(SAMPLE_SECONDS * 1000))
    timer.timeout.connect(take)
    timer.start()
    # Not `quit`, which asks the window: it would say that machines keep running.
    QTimer.singleShot(int(seconds * 1000), lambda: app.exit(0))
    app.exec()
    desktop.window.hide()
    desktop.close()
    return samples


def grown(samples: list[Sample]) -> list[str]:
    """Return what has grown from the second quarter to the last.

    Descriptors and threads follow the number of machines: their greatest values are compared.
    Memory also depends on the sizes of thumbnails: its least values are.
    """
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for field, most in zip(Sample._fields, MOST, strict=True):
        worst = min if field == "uss" else max
        before = worst(getattr(each, field) for each in early)
        after = worst(getattr(each, field) for each in late)
        if after - before > most:
            found.append(f"{field} grew from {before} to {after}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wall_life", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--machines", type=int, default=16, help="that run at the same time")
    asked = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(prefix="kju-life-") as folder:
        for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME"):
            os.environ[f"XDG_{name}"] = folder
        # The machines are another process's: its descriptors are not the app's.
        child = os.fork()
        if child == 0:
            ended = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: ended.set())
            end_with_parent()
            churn(1, asked.machines, ended)
            os._exit(0)
        try:
            began = time.monotonic()
            samples = run_app(
                asked.minutes * 60,
                lambda each: print(f"{time.monotonic() - began:6.0f} s  {each}", flush=True),
            )
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)
    problems = grown(samples)
    print("\n".join(problems) or "nothing grew")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
