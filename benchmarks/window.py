"""A guest's screen in a window: `kju view` compared with the windows that its users have today.

All are full screen on one Xvfb of the guest's size, with openbox, one at a time, each with its own
guest. Keys come from one xdotool, and pixels are read from the X server's memory. A window is
measured when the X server shows the picture that QEMU's screendump has, and while nothing but the
key's square changes.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import guests, windows
from .measure import Curve, Figure, amount, own_memory, percentile, progress
from .rig import Rig
from .shown import Shown
from .start import installed
from .windows import WAYS
from .xserver import XServer, started, xserver

WIDTH, HEIGHT = 1280, 800
MIB = 1 << 20
#: Seconds between two presses in each regime, and of a press.
BETWEEN = {"still": (0.45, 0.7), "animation": (0.1, 0.2)}
HOLD = 0.02
#: Presses in each regime, and starts of each window.
PRESSES = {"still": 25, "animation": 50}
STARTS = 4
#: Seconds for the notes that some viewers show at first; pixels of a pointer.
NOTES, POINTER = 12.0, 1024
#: Seconds of the measurement at rest.
REST = 10.0
#: Further windows of the same process.
FURTHER = 5
#: Middle of the guest's squares, x and y: see tools/guests/README.md.
KEY = (96, 32)
FIRST, LAST = (32, 32), (WIDTH - 32, HEIGHT - 32)
TARGETS = {"latency": 3.0, "cpu": 0.6, "start": 700.0, "memory": 90.0, "further": 3.0}


@dataclass
class Taken:
    """Results of one window: milliseconds, percent of a core, pictures a second, bytes."""

    pixel: dict[str, list[float]] = field(default_factory=dict)
    lost: int = 0
    cpu: dict[str, float] = field(default_factory=dict)
    rest: dict[str, float] = field(default_factory=dict)
    shown: float = 0.0
    drawn: float = 0.0
    starts: list[float] = field(default_factory=list)
    memory: int = 0
    further: int = 0


def colour(server: XServer, at: tuple[int, int]) -> int:
    """Return a pixel as 0xRRGGBB."""
    return int.from_bytes(server.pixels[at[1], at[0], :3].tobytes(), "little")


def until_notes_are_gone(server: XServer, picture: np.ndarray) -> None:
    """Wait until a viewer's notes over the picture have disappeared, if they ever do."""
    end = time.monotonic() + NOTES
    while (
        time.monotonic() < end and (server.pixels[..., :3] != picture).any(axis=2).sum() > POINTER
    ):
        time.sleep(0.1)


def until_still(server: XServer, what: str) -> None:
    """Wait until nothing has changed for half a second: notes of the viewers disappear."""
    end = time.monotonic() + windows.PATIENCE
    last, since = server.pixels.copy(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.05)
        now = server.pixels.copy()
        if not np.array_equal(now, last):
            last, since = now, time.monotonic()
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: the screen never rests")


def check_square(server: XServer, what: str) -> None:
    """Check that a key changes the key's square and nothing else."""
    before = server.pixels[..., :3].copy()
    press(server)
    until_still(server, what)
    changed = np.argwhere((server.pixels[..., :3] != before).any(axis=2))
    if not len(changed):
        raise RuntimeError(f"{what}: a key changes nothing; look at the picture")
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    if (left, top, right, bottom) != (64, 0, 127, 63):
        raise RuntimeError(f"{what}: a key changes {left},{top} to {right},{bottom}")


def press(server: XServer) -> float | None:
    """Press the key; return the milliseconds until its pixel, None where it never came."""
    wanted = ((colour(server, KEY) >> 16) + 1) & 0xFF
    begun = time.monotonic_ns()
    server.key(True)
    found: float | None = None
    while (taken := time.monotonic_ns() - begun) < 2e9:
        if colour(server, KEY) >> 16 == wanted:
            found = taken / 1e6
            break
        time.sleep(50e-6)
    time.sleep(max(0.0, HOLD - taken / 1e9))
    server.key(False)
    return found


def presses(server: XServer, regime: str, taken: Taken) -> None:
    times = taken.pixel[regime] = []
    for _ in range(int(amount("PRESSES", PRESSES[regime]))):
        found = press(server)
        if found is None:
            taken.lost += 1
        else:
            times.append(found)
        time.sleep(random.uniform(*BETWEEN[regime]))


def processes(chosen: Rig, viewer: int) -> dict[str, int]:
    """Return the processes that a window needs, without the X server."""
    named = {"QEMU": chosen.pid, "host": chosen.host, "viewer": viewer}
    if viewer == chosen.pid:
        del named["viewer"]
    return {name: pid for name, pid in named.items() if pid}


def animated(server: XServer, chosen: Rig, viewer: int, taken: Taken) -> None:
    """Count the pictures shown and the CPU time while the whole screen changes."""
    seconds = amount("SECONDS", 6)
    pids = processes(chosen, viewer)
    chosen.line.tell("animate")
    time.sleep(1)
    frame, numbers = chosen.line.frame(), set()
    before = {name: Shown.cpu_of(pid) for name, pid in pids.items()}
    begun = time.monotonic()
    while (passed := time.monotonic() - begun) < seconds:
        numbers.add(colour(server, FIRST))
        time.sleep(0.001)
    taken.cpu = {
        name: 100 * (Shown.cpu_of(pid) - before[name]) / passed for name, pid in pids.items()
    }
    taken.shown = len(numbers) / passed
    taken.drawn = (chosen.line.frame() - frame) / (time.monotonic() - begun)
    chosen.line.tell("still")


def rested(chosen: Rig, viewer: int, taken: Taken) -> None:
    pids = processes(chosen, viewer)
    seconds = amount("REST", REST)
    before = {name: Shown.cpu_of(pid) for name, pid in pids.items()}
    time.sleep(seconds)
    taken.rest = {name: Shown.cpu_of(pid) - before[name] for name, pid in pids.items()}


def save_picture(server: XServer, name: str) -> None:
    """Write the X server's screen where the user wants it."""
    if folder := os.environ.get("KJU_BENCH_PICTURES"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        windows.save_picture(server, Path(folder, f"{name}.png"))


def measure(name: str, server: XServer, folder: str) -> Taken:
    """Measure one window."""
    way, taken = WAYS[name], Taken()
    arguments = guests.measured("VGA", via="vram", mode="still", size=f"{WIDTH}x{HEIGHT}")
    with windows.machine(way, folder, arguments, server) as chosen:
        chosen.line.tell("still")
        picture = windows.guest_picture(chosen)
        for _ in range(int(amount("STARTS", STARTS)) if way.program else 0):
            with windows.window(way, chosen, server) as (_, begun):
                at = windows.until_shown(server, picture, way.title)
                taken.starts.append(1000 * (at - begun))
            until_hidden(server, picture)
        with windows.window(way, chosen, server) as (viewer, _):
            windows.until_shown(server, picture, way.title)
            server.do("mousemove", str(WIDTH // 2), str(HEIGHT // 2))
            until_notes_are_gone(server, picture)
            until_still(server, way.title)
            save_picture(server, name)
            check_square(server, way.title)
            presses(server, "still", taken)
            rested(chosen, viewer, taken)
            taken.memory = own_memory(viewer)
            chosen.line.tell("box")
            presses(server, "animation", taken)
            animated(server, chosen, viewer, taken)
        if name == "kju":
            taken.memory, taken.further = memory(chosen, server)
    until_hidden(server, picture)
    return taken


def until_hidden(server: XServer, picture: np.ndarray) -> None:
    end = time.monotonic() + windows.PATIENCE
    while windows.shows(server, picture):
        if time.monotonic() > end:
            raise TimeoutError("the window of a program that has ended is still shown")
        time.sleep(0.01)
    time.sleep(0.2)


def memory(chosen: Rig, server: XServer) -> tuple[int, int]:
    """Return the USS of a process with one window, and of each further window."""
    words = [sys.executable, "-m", "benchmarks.windows", "memory", chosen.name, str(1 + FURTHER)]
    done = subprocess.run(words, env=server.environment, capture_output=True, text=True, check=True)
    first, last = (int(word) for word in done.stdout.split())
    return first, (last - first) // FURTHER


def starts(server: XServer) -> Iterator[Figure]:
    """Measure the interpreter and Qt alone, which are a part of each start of `kju view`."""
    environment = installed(server.environment)
    interpreter, qt = [], []
    for _ in range(int(amount("STARTS", STARTS))):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-c", ""], check=True, env=environment)
        interpreter.append(1000 * (time.monotonic() - begun))
        begun = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.windows", "qt"]
        with started(command, environment=environment):
            while colour(server, FIRST) != 0x010203:
                if time.monotonic() > begun + windows.PATIENCE:
                    raise TimeoutError("Qt shows nothing")
                time.sleep(0.002)
            qt.append(1000 * (time.monotonic() - begun))
        while colour(server, FIRST) == 0x010203:
            time.sleep(0.01)
    bare, window = statistics.median(interpreter), statistics.median(qt)
    yield Figure("window", "the interpreter alone", bare, "ms", None, "")
    yield Figure("window", "first picture of a window of Qt's in Python", window, "ms", None, "",
                 f"of this the interpreter {bare:.0f} ms")  # fmt: skip


def words(times: list[float]) -> str:
    p50, p95, most = (percentile(times, share) for share in (0.5, 0.95, 1.0))
    return f"p50 {p50:.1f}, p95 {p95:.1f}, max {most:.1f} ms; {len(times)} presses"


def report(title: str, taken: Taken, ours: bool) -> Iterator[Figure | Curve]:
    for regime, times in taken.pixel.items():
        if times:
            lost = f", {taken.lost} never seen" if taken.lost else ""
            yield Figure("window", f"key to pixel, {regime}: {title}", percentile(times, 0.5), "ms",
                         None, "", words(times) + lost)  # fmt: skip
            yield Curve("window", f"key to pixel in a window, {regime}", title, sorted(times),
                        [100 * (i + 1) / len(times) for i in range(len(times))],
                        "% of presses seen within so many ms")  # fmt: skip
    detail = ", ".join(f"{name} {share:.0f}" for name, share in taken.cpu.items())
    yield Figure("window", f"CPU, full-screen animation: {title}", sum(taken.cpu.values()),
                 "% of a core", None, "", detail)  # fmt: skip
    yield Figure("window", f"pictures shown a second: {title}", taken.shown, "/s", None, "",
                 f"the guest drew {taken.drawn:.1f}/s",
                 0.97 * taken.drawn if ours else None)  # fmt: skip
    rest = ", ".join(f"{name} {1000 * used:.0f} ms" for name, used in taken.rest.items())
    seconds = amount("REST", REST)
    yield Figure("window", f"CPU in {seconds:.0f} s at rest: {title}", sum(taken.rest.values()),
                 "s", None, "", rest)  # fmt: skip
    if taken.starts:
        yield Figure("window", f"first picture from a shell: {title}",
                     statistics.median(taken.starts), "ms", TARGETS["start"] if ours else None, "",
                     f"{min(taken.starts):.0f} to {max(taken.starts):.0f} ms")  # fmt: skip
    yield Figure("window", f"memory of the first window (USS): {title}", taken.memory / MIB, "MiB",
                 TARGETS["memory"] if ours else None, "")  # fmt: skip
    if ours:
        yield Figure("window", f"memory of each further window: {title}",
                     taken.further / MIB, "MiB", TARGETS["further"], "")  # fmt: skip


def compare(ours: Taken, theirs: Taken, title: str) -> Iterator[Figure]:
    for regime in PRESSES:
        for share in (0.5, 0.95):
            if not (ours.pixel.get(regime) and theirs.pixel.get(regime)):
                continue
            a, b = percentile(ours.pixel[regime], share), percentile(theirs.pixel[regime], share)
            what = f"key to pixel, {regime}, p{100 * share:.0f}"
            yield Figure("window", f"{what}: times below {title}",
                         b / a, "x", None, title, f"{a:.1f} against {b:.1f} ms",
                         TARGETS["latency"])  # fmt: skip
    a, b = sum(ours.cpu.values()), sum(theirs.cpu.values())
    yield Figure("window", f"CPU, full-screen animation, beside {title}", a / b, "x",
                 TARGETS["cpu"], title, f"{a:.0f} against {b:.0f} % of a core; "
                 f"{ours.shown:.0f} against {theirs.shown:.0f} pictures a second")  # fmt: skip


def figures(folder: str) -> Iterator[Figure | Curve]:
    """Measure all windows whose programs are installed; report the packages of the others."""
    asked = os.environ.get("KJU_BENCH_WAYS", ",".join(WAYS)).split(",")
    results: dict[str, Taken] = {}
    with xserver(WIDTH, HEIGHT) as server, started(["openbox"], environment=server.environment):
        time.sleep(0.5)
        if "kju" in asked:
            yield from starts(server)
        for number, name in enumerate(name for name in WAYS if name in asked):
            progress(f"window: {WAYS[name].title}", number, len(asked))
            if package := windows.missing(WAYS[name]):
                yield Figure("window", f"not measured: {WAYS[name].title}", 0, "", None, "",
                             f"install {package}")  # fmt: skip
                continue
            try:
                results[name] = measure(name, server, folder)
            except (RuntimeError, TimeoutError) as error:  # the others continue
                save_picture(server, f"{name}-failed")
                yield Figure("window", f"not measured: {WAYS[name].title}", 0, "", None, "",
                             str(error))  # fmt: skip
                continue
            yield from report(WAYS[name].title, results[name], name == "kju")
    for name, theirs in results.items():
        if name != "kju" and "kju" in results:
            yield from compare(results["kju"], theirs, WAYS[name].title)
