"""Growth of cost with the resolution, the viewers, and the machines."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

from . import guests, rig
from .cpu import MIB
from .keys import Taken, machine_for, match, presses, title, turn
from .measure import Curve, Figure, amount, cpu_seconds, own_memory, percentile, progress
from .rig import Rig
from .screens import rates
from .viewer import viewing

SIZES = ("640x480", "1280x800", "1920x1080", "2560x1440", "3840x2160")
VIEWERS = (1, 5, 10, 25, 50)
MACHINES = (1, 2, 4, 8)


def _named(group: str, name: str, taken: Taken, share: float, limit: float | None) -> Figure:
    return Figure(group, f"key to pixel, {name}, p{share * 100:.0f}",
                  percentile(taken.pixel, share), "ms", limit, "", taken.words())  # fmt: skip


def with_size(folder: str, count: int) -> Iterator[Figure | Curve]:
    latency: dict[str, list[float]] = {"kju": [], "vnc-raw": []}
    screens = []
    for number, size in enumerate(SIZES):
        progress(f"resolution: {size}", number, len(SIZES))
        arguments = guests.measured("VGA,vgamem_mb=64", via="vram", mode="still", size=size)
        with ExitStack() as stack:
            kju_rig = stack.enter_context(rig.of_kju(folder, arguments, f"kju-bench-{size}"))
            plain = stack.enter_context(rig.of_qemu(folder, arguments, "vnc"))
            rigs = {"kju": kju_rig, "vnc": plain}
            for way, medians in latency.items():
                taken = Taken()
                turn(machine_for(way, rigs), way, "idle", count, taken)
                medians.append(statistics.median(taken.pixel))
                yield _named("growth", f"idle, {size}: {title(way)}", taken, 0.95, None)
            whole, _, _ = rates(kju_rig, "kju", "screens", 2)
            screens.append(whole)
            yield Figure("growth", f"screens into NumPy, {size}", whole, "/s", None, "")
    pixels = [_area(size) / 1e6 for size in SIZES]
    for way, medians in latency.items():
        yield Curve("growth", "key to pixel, idle, p50, with the resolution", title(way), pixels,
                    medians, "ms at so many million pixels")  # fmt: skip
    yield Curve("growth", "screens into NumPy with the resolution", "kju", pixels, screens,
                "a second at so many million pixels")  # fmt: skip


def _area(size: str) -> int:
    width, _, height = size.partition("x")
    return int(width) * int(height)


def crowd(chosen: Rig, viewers: int, count: int) -> tuple[Taken, float]:
    """Run several viewers and a busy guest; return their results and the host's CPU share."""
    taken = Taken()
    with viewing("kju", chosen.where, crowd=viewers) as running:
        chosen.clock.anchor()
        time.sleep(1)
        presses(chosen, "kju", "idle", 1)
        used, start = cpu_seconds(chosen.host), time.monotonic()
        left = presses(chosen, "kju", "busy", count)
        used = 100 * (cpu_seconds(chosen.host) - used) / (time.monotonic() - start)
        chosen.clock.anchor()
        for seen in running.stop():
            match(chosen, left, running.number + 1, seen["samples"], taken)
    return taken, used


def with_viewers(folder: str, count: int) -> Iterator[Figure | Curve]:
    arguments = guests.measured("VGA", via="vram", mode="box", size="1280x800")
    cost, late = [], []
    with rig.of_kju(folder, arguments) as chosen:
        for number, viewers in enumerate(VIEWERS):
            progress(f"viewers: {viewers}", number, len(VIEWERS))
            taken, used = crowd(chosen, viewers, count)
            cost.append(used)
            late.append(percentile(taken.pixel, 0.95))
            yield _named("growth", f"busy, {viewers} viewers", taken, 0.95,
                         6 if viewers == VIEWERS[-1] else None)  # fmt: skip
            yield Figure("growth", f"host, {viewers} viewers", used / max(cost[0], 0.01), "x",
                         1.5 if viewers == VIEWERS[-1] else None, "one viewer",
                         f"{used:.1f} % of a core")  # fmt: skip
    across = [float(v) for v in VIEWERS]
    yield Curve("growth", "host's CPU with viewers", "host", across, cost,
                "% of a core with so many viewers")  # fmt: skip
    yield Curve("growth", "key to pixel, busy, p95, with viewers", "kju", across, late,
                "ms with so many viewers")  # fmt: skip


def with_machines(folder: str, count: int) -> Iterator[Figure | Curve]:
    arguments = guests.measured("VGA", via="vram", mode="still", size="1280x800")
    late, cost = [], []
    with ExitStack() as stack:
        rigs: list[Rig] = []
        for machines in MACHINES:
            progress(f"machines: {machines}", MACHINES.index(machines), len(MACHINES))
            while len(rigs) < machines:
                name = f"kju-bench-{len(rigs)}"
                rigs.append(stack.enter_context(rig.of_kju(folder, arguments, name)))
            taken, used = _all_looked_at(rigs, max(1, count // machines))
            late.append(percentile(taken.pixel, 0.95))
            cost.append(used)
            memory = statistics.fmean(own_memory(chosen.host) for chosen in rigs) / MIB
            yield _named("growth", f"idle, {machines} machines", taken, 0.95, None)
            yield Figure("growth", f"hosts of {machines} machines", used, "% of a core", None, "",
                         f"all of them, guests still; own memory of each {memory:.0f} MiB",
                         )  # fmt: skip
    across = [float(m) for m in MACHINES]
    yield Curve("growth", "key to pixel, idle, p95, with machines", "kju", across, late,
                "ms with so many machines")  # fmt: skip
    yield Curve("growth", "hosts' CPU with machines", "hosts", across, cost,
                "% of a core with so many machines")  # fmt: skip


def _all_looked_at(rigs: list[Rig], count: int) -> tuple[Taken, float]:
    """Press keys on each machine in sequence, each with one viewer."""
    taken = Taken()
    with ExitStack() as stack:
        viewers = [stack.enter_context(viewing("kju", chosen.where)) for chosen in rigs]
        time.sleep(2)
        used, start = sum(cpu_seconds(chosen.host) for chosen in rigs), time.monotonic()
        for chosen, viewer in zip(rigs, viewers, strict=True):
            chosen.clock.anchor()
            presses(chosen, "kju", "idle", 1)
            left = presses(chosen, "kju", "idle", count)
            chosen.clock.anchor()
            (seen,) = viewer.stop()
            match(chosen, left, viewer.number + 1, seen["samples"], taken)
        total = sum(cpu_seconds(chosen.host) for chosen in rigs) - used
    return taken, 100 * total / (time.monotonic() - start)


def figures(folder: str) -> Iterator[Figure | Curve]:
    count = int(amount("PRESSES", 300))
    yield from with_size(folder, max(5, count // 5))
    yield from with_viewers(folder, count)
    yield from with_machines(folder, max(8, count // 5))
