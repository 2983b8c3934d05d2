"""python -m benchmarks.wall_life: machines start, end and are killed while the app shows them.

It prints the app's descriptors, threads and memory over the time, and fails if they grow. Machines
are ended at random: by a request, by SIGKILL to the host, by SIGKILL to QEMU. Meanwhile consoles
and snapshot pages of random machines are opened and closed in the app.
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
from typing import TYPE_CHECKING, NamedTuple

import kju

from .measure import written_memory

if TYPE_CHECKING:
    from kju.desktop.qt.app import Desktop

#: Seconds between two samples.
SAMPLE_SECONDS = 5.0
#: Seconds between two changes of the app's tabs.
TAB_SECONDS = 1.5
#: Tabs beside the wall's.
MOST_TABS = 4
#: Threads that start and end machines.
CHURNERS = 4
#: Seconds without machines at the end, before the last sample.
REST_SECONDS = 15.0
#: Growth from the second quarter to the last that is allowed: descriptors, threads, kB.
MOST = (2, 0, 4096)


class Sample(NamedTuple):
    """The app's resources.

    Attributes:
        descriptors: Open files.
        threads: All of them, Qt's too.
        written: Memory that only the app has written, kB.
    """

    descriptors: int
    threads: int
    written: int


def sample() -> Sample:
    own = Path("/proc/self")
    descriptors, threads = (len(list((own / name).iterdir())) for name in ("fd", "task"))
    return Sample(descriptors, threads, written_memory(os.getpid()) // 1024)


# ---- The machines, in another process: its descriptors are not the app's


def end_at_random(machine: kju.Machine, choice: random.Random) -> None:
    way = choice.randrange(3)
    if way == 0:
        machine.stop()
    elif way == 1:
        os.kill(machine.host_pid, signal.SIGKILL)
    else:
        os.kill(machine.info()["qemu"]["pid"], signal.SIGKILL)


def churn(number: int, most: int, ended: threading.Event) -> None:
    """Keep *most* machines running until *ended*: end one, start one."""
    choice = random.Random(number)
    running: list[kju.Machine] = []
    count = 0
    while not ended.is_set():
        if len(running) < most:
            count += 1
            name = f"life-{number}-{count % (2 * most)}"
            with contextlib.suppress(kju.KjuError):
                running.append(kju.launch(args=["-m", "16"], name=name, detach=True))
                started.append(name)
        if len(running) == most or choice.random() < 0.2:
            machine = running.pop(choice.randrange(len(running)))
            with machine, contextlib.suppress(kju.KjuError, OSError, KeyError):
                end_at_random(machine, choice)
    for machine in running:
        with machine, contextlib.suppress(kju.KjuError):
            machine.stop()


#: The names of all machines that have been started.
started: list[str] = []


def churn_all(most: int) -> None:
    """Start and end machines until SIGTERM; print their number."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    _end_with_parent()
    share = max(1, most // CHURNERS)
    threads = [
        threading.Thread(target=churn, args=(number, share, ended)) for number in range(CHURNERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(started)} machines were started", flush=True)


def _end_with_parent() -> None:
    """Have the kernel send this process SIGTERM when its parent ends."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


# ---- The app


class Tabs:
    """Opens and closes tabs of random machines."""

    def __init__(self, desktop: Desktop) -> None:
        self._desktop = desktop
        self._choice = random.Random(1)

    def change(self) -> None:
        """Open a console or a snapshot page, or close a tab."""
        window = self._desktop.window
        entries = [e for e in self._desktop.machines.entries.values() if e.state.runs]
        if window.tabs.count() > MOST_TABS or not entries:
            self.close_one()
            return
        entry = self._choice.choice(entries)
        window.show_wall()
        window.wall.select(entry.key)
        if self._choice.random() < 0.5:
            window.consoles.open_tab(entry.name)
        else:
            self._desktop.managing.open_tree(entry)

    def close_one(self) -> None:
        """Close a tab, but not the wall's."""
        tabs = self._desktop.window.tabs
        if tabs.count() > 1:
            tabs.tabCloseRequested.emit(self._choice.randrange(1, tabs.count()))


class Samples(NamedTuple):
    """What was measured.

    Attributes:
        first: Before the first machine.
        during: While machines started and ended.
        last: After the last machine.
        left: The names of Python's threads then.
    """

    first: Sample
    during: list[Sample]
    last: Sample
    left: list[str]


def run_app(
    seconds: float, begin: Callable[[], Callable[[], None]], report: Callable[[Sample], object]
) -> Samples:
    """Run the app.

    Args:
        seconds: How long machines start and end.
        begin: Begins that; returns a function that ends it and waits for the end.
        report: Takes each sample.
    """
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from kju.desktop.memory import collect_early
    from kju.desktop.qt.app import Desktop

    app = QApplication(["kju"])
    desktop = Desktop()
    desktop.machines.open()
    desktop.window.show()
    collect_early()
    during: list[Sample] = []

    def take() -> None:
        during.append(sample())
        report(during[-1])

    def run_for(length: float) -> None:
        # Not `quit`, which asks the window: it would say that machines keep running.
        QTimer.singleShot(int(length * 1000), lambda: app.exit(0))
        app.exec()

    tabs = Tabs(desktop)
    timers = [QTimer(interval=int(each * 1000)) for each in (SAMPLE_SECONDS, TAB_SECONDS)]
    run_for(SAMPLE_SECONDS)
    first = sample()
    end = begin()
    for timer, call in zip(timers, (take, tabs.change), strict=True):
        timer.timeout.connect(call)
        timer.start()
    run_for(seconds)
    for timer in timers:
        timer.stop()
    ending = threading.Thread(target=end)
    ending.start()
    while ending.is_alive():
        run_for(0.5)
    while desktop.window.tabs.count() > 1:
        tabs.close_one()
        run_for(0.1)
    run_for(REST_SECONDS)
    last, left = sample(), sorted(thread.name for thread in threading.enumerate())
    desktop.window.hide()
    desktop.close()
    return Samples(first, during, last, left)


def grown(samples: list[Sample]) -> list[str]:
    """Return what has grown from the second quarter to the last.

    The least values are compared: descriptors, threads and memory rise for moments, with each
    action and each machine that starts.
    """
    quarter = max(1, len(samples) // 4)
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    found = []
    for field, most in zip(Sample._fields, MOST, strict=True):
        before = min(getattr(each, field) for each in early)
        after = min(getattr(each, field) for each in late)
        if after - before > most:
            found.append(f"{field} grew from {before} to {after}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wall_life", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--machines", type=int, default=64, help="that run at the same time")
    asked = parser.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory(prefix="kju-life-") as folder:
        for name in ("RUNTIME_DIR", "STATE_HOME", "DATA_HOME", "CONFIG_HOME"):
            os.environ[f"XDG_{name}"] = folder
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(write)
            os.read(read, 1)
            churn_all(asked.machines)
            os._exit(0)
        os.close(read)
        began = time.monotonic()

        def end() -> None:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)

        def begin() -> Callable[[], None]:
            os.close(write)
            return end

        samples = run_app(
            asked.minutes * 60,
            begin,
            lambda each: print(f"{time.monotonic() - began:6.0f} s  {each}", flush=True),
        )
    ctypes.CDLL(None).malloc_trim(0)
    trimmed = f"; {sample().written} kB without the allocator's free memory"
    print(f"before {samples.first}\nafter  {samples.last}{trimmed}, threads {samples.left}")
    problems = grown(samples.during)
    if samples.last.descriptors - samples.first.descriptors > MOST[0]:
        problems.append("descriptors are left after the last machine")
    print("\n".join(problems) or "nothing grew")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
