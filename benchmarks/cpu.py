"""Cost of viewing: CPU of the host, QEMU and the viewer; QEMU's memory with a stalled viewer."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

from . import guests, rig
from .keys import machine_for, title
from .measure import Curve, Figure, amount, cpu_seconds, own_memory, progress
from .rig import Rig, Rigs
from .viewer import Seen, viewing

MIB = 1 << 20
LARGE = "1920x1080"
#: Number of time windows of each kind, alternately.
WINDOWS = 20


class Used(NamedTuple):
    """Percent of one core of each process in one window; frames per second of the guest."""

    host: float
    qemu: float
    frames: float


def window(chosen: Rig, seconds: float, counts: bool = True) -> Used:
    """Measure one window, from now on."""
    pids = [chosen.host, chosen.pid]
    frame = chosen.line.frame() if counts else 0
    before, start = [cpu_seconds(pid) if pid else 0.0 for pid in pids], time.monotonic()
    time.sleep(seconds)
    after, took = [cpu_seconds(pid) if pid else 0.0 for pid in pids], time.monotonic() - start
    frames = (chosen.line.frame() - frame) / took if counts else 0.0
    host, qemu = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
    return Used(host, qemu, frames)


def of_viewer(seen: Seen) -> float:
    """Return the percent of one core that a viewer used, from the kernel's accounting."""
    return 100 * float(seen["cpu"]) / float(seen["seconds"])


def console(folder: str, seconds: float) -> Iterator[Figure]:
    """Measure a text console at rest: its cursor blinks five times in two seconds."""
    for size in ("1280x800", LARGE):
        progress(f"text console, {size}", size == LARGE, 2)
        width, _, height = size.partition("x")
        device = f"VGA,xres={width},yres={height}"
        arguments = guests.measured(device, mode="shell", via="drm", cursor_blinks=1)
        with rig.of_kju(folder, arguments, f"kju-bench-{width}") as chosen:
            time.sleep(2)
            with viewing("kju", chosen.where) as viewer:
                time.sleep(2)
                used = window(chosen, seconds, counts=False)
                (seen,) = viewer.stop()
            yield Figure("cpu", f"host, text console with blinking cursor, one viewer, {size}",
                         used.host, "% of a core", 2, "",
                         f"shown at {chosen.size}; viewer {of_viewer(seen):.1f} %, woken "
                         f"{seen['wakes'] / seen['seconds']:.1f} times a second; "
                         f"source {chosen.source}")  # fmt: skip


def animation(folder: str, seconds: float) -> Iterator[Figure]:
    arguments = guests.measured("VGA,vgamem_mb=32", via="vram", mode="animate", size=LARGE)
    with rig.of_kju(folder, arguments) as chosen:
        progress(f"animation, {LARGE}", 0, 2)
        time.sleep(2)  # the start is complete: the mode has changed
        used = window(chosen, seconds)
        yield Figure("cpu", f"host, full-screen animation, nobody looks, {LARGE}", used.host,
                     "% of a core", 0.3, "",
                     f"QEMU {used.qemu:.0f} %, the guest drew {used.frames:.0f}/s")  # fmt: skip
        with viewing("kju", chosen.where, rate=60) as viewer:
            time.sleep(1)
            used = window(chosen, seconds)
            (seen,) = viewer.stop()
        yield Figure("cpu", f"host, full-screen animation, 60 Hz viewer, {LARGE}", used.host,
                     "% of a core", 15, "",
                     f"QEMU {used.qemu:.0f} %, viewer {of_viewer(seen):.1f} %, the guest drew "
                     f"{used.frames:.0f}/s; source {chosen.source}")  # fmt: skip


class Three(NamedTuple):
    """Time windows without a display, without a viewer, and with a viewer at 60 Hz."""

    none: Used
    alone: Used
    looked: Used
    viewer: float


def three(bare: Rig, chosen: Rig, way: str, seconds: float) -> Three:
    """Measure one window of each kind; one of the two machines draws at a time."""
    bare.line.tell("animate")
    time.sleep(0.5)
    none = window(bare, seconds)
    bare.line.tell("still")
    chosen.line.tell("animate")
    time.sleep(0.5)
    alone = window(chosen, seconds)
    with viewing(way, chosen.where, rate=60) as viewer:
        time.sleep(1)
        looked = window(chosen, seconds)
        (seen,) = viewer.stop()
    chosen.line.tell("still")
    return Three(none, alone, looked, of_viewer(seen))


def of_qemu(rigs: Rigs, bare: Rig, seconds: float) -> Iterator[Figure | Curve]:
    bars: dict[str, float] = {}
    count = int(amount("WINDOWS", WINDOWS))
    for way in ("kju", "listener", "vnc-raw"):
        taken = []
        for number in range(count):
            progress(f"QEMU's CPU: {title(way)}", number, count)
            taken.append(three(bare, machine_for(way, rigs), way, seconds))
        cost = statistics.median(t.looked.qemu / t.none.qemu for t in taken)
        alone = statistics.median(t.alone.qemu / t.none.qemu for t in taken)
        drawn = statistics.median(t.looked.frames / t.none.frames for t in taken)
        used = Used(*(statistics.median(c) for c in zip(*(t.looked for t in taken), strict=True)))
        viewer = statistics.median(t.viewer for t in taken)
        bars.setdefault("no display", statistics.median(t.none.qemu for t in taken))
        bars[title(way)] = used.qemu
        yield Figure("cpu", f"QEMU, full-screen animation 1280x800, 60 Hz viewer: {title(way)}",
                     cost, "x", 1.05 if way == "kju" else None, "QEMU with no display",
                     f"{used.qemu:.0f} %, host {used.host:.1f} %, viewer {viewer:.1f} % of a "
                     f"core; nobody looking {alone:.2f}x; the guest drew {drawn:.2f} times as many "
                     f"frames, {used.frames:.0f}/s; {count} windows each")  # fmt: skip
    yield Curve("cpu", "QEMU's CPU, full-screen animation 1280x800, 60 Hz viewer", "QEMU",
                list(bars), list(bars.values()), "% of a core")  # fmt: skip


def stalled(rigs: Rigs, seconds: float) -> Iterator[Figure]:
    """Measure the memory that QEMU keeps for a viewer that stops reading."""
    for number, way in enumerate(("kju", "vnc-raw", "listener")):
        progress(f"stalled: {title(way)}", number, 3)
        chosen = machine_for(way, rigs)
        chosen.line.tell("animate")
        with viewing(way, chosen.where) as viewer:
            time.sleep(1)
            os.kill(viewer.process.pid, signal.SIGSTOP)
            time.sleep(0.2)
            before = own_memory(chosen.pid)
            time.sleep(seconds)
            grown = (own_memory(chosen.pid) - before) / MIB
        chosen.line.tell("still")
        yield Figure("cpu", f"QEMU's memory, a viewer stalled for {seconds:g} s: {title(way)}",
                     grown, "MiB more", None, "",
                     "full-screen animation 1280x800; USS")  # fmt: skip


def figures(folder: str) -> Iterator[Figure | Curve]:
    seconds = amount("SECONDS", 5)
    yield from console(folder, 4 * seconds)
    yield from animation(folder, 2 * seconds)
    arguments = guests.measured("VGA", via="vram", mode="still", size="1280x800")
    with (
        rig.all_three(folder, arguments) as rigs,
        rig.of_qemu(folder, arguments, "none") as bare,
    ):
        yield from of_qemu(rigs, bare, seconds)
        yield from stalled(rigs, min(seconds, 5))
