"""Whole pictures in NumPy arrays: the rate, and the share of new ones."""

from __future__ import annotations

import inspect
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator

import kju

from . import guests, rig
from .keys import SIZE, machine_for, title
from .measure import Curve, Figure, amount, progress
from .rig import Rig, Rigs
from .viewer import missing, viewing

ORDER = ("kju", "kju-sync", "screendump-ppm", "screendump-png", "vnc-raw", "vncdotool", "asyncvnc")
TURNS = 3
#: kju's viewer, the peer, and the required ratio of the rates.
TARGETS = (("kju", "screendump-ppm", 50), ("kju", "vncdotool", 300),
           ("kju-sync", "screendump-ppm", 5))  # fmt: skip

Rates = dict[str, list[tuple[float, float, float]]]


def can_sync() -> bool:
    return "sync" in inspect.signature(kju.Screen.frame).parameters


def rates(chosen: Rig, way: str, do: str, seconds: float) -> tuple[float, float, float]:
    """Return pictures, new pictures, and frames of the guest, each per second."""
    with viewing(way, chosen.where, do) as viewer:
        time.sleep(0.3)
        start, drawn = time.monotonic(), chosen.line.frame()
        time.sleep(seconds)
        drawn = chosen.line.frame() - drawn
        guest = drawn / (time.monotonic() - start)
        (seen,) = viewer.stop()
    whole = seen.get("screens", seen["wakes"])
    return whole / seen["seconds"], seen["distinct"] / seen["seconds"], guest


def pictures(rigs: Rigs, seconds: float) -> Rates:
    ways = [w for w in ORDER if not missing(w) and (w != "kju-sync" or can_sync())]
    results: Rates = defaultdict(list)
    for number in range(TURNS):
        for index, way in enumerate(ways):
            progress(f"screens: {title(way)}", number * len(ways) + index, TURNS * len(ways))
            chosen = machine_for(way, rigs)
            chosen.line.tell("box")
            chosen.keys.command("screendump", filename=str(chosen.folder / "size"))
            results[way].append(rates(chosen, way, "screens", seconds))
            chosen.line.tell("still")
    return results


def report(results: Rates) -> Iterator[Figure | Curve]:
    middle = {w: [statistics.median(c) for c in zip(*r, strict=True)] for w, r in results.items()}
    for way, (whole, new, guest) in middle.items():
        yield Figure("screens", f"screens into NumPy: {title(way)}", whole, "/s", None, "",
                     f"{new:.0f}/s of them new, the guest drew {guest:.0f}/s")  # fmt: skip
    names = list(middle)
    yield Curve("screens", "screens into NumPy", "all", [title(w) for w in names],
                [middle[w][0] for w in names], "screens a second")  # fmt: skip
    for way, peer, least in TARGETS:
        if way in middle and peer in middle:
            yield Figure("screens", f"times as many screens: {title(way)} against {title(peer)}",
                         middle[way][0] / middle[peer][0], "x", None, title(peer),
                         f"{middle[way][0]:.0f}/s against {middle[peer][0]:.0f}/s",
                         least)  # fmt: skip


#: Task, viewer, and title.
HOLDING = (("screens", "kju", "frame after frame"), ("frames", "kju", "woken"),
           ("frames", "listener", "woken"), ("frames", "vnc-raw", "woken"))  # fmt: skip


def distinct(rigs: Rigs, seconds: float) -> Iterator[Figure]:
    """Measure the share of the guest's frames that are received, at growing rates."""
    for rate in (60, 120, 250):
        for do, way, how in HOLDING:
            progress(f"frames at {rate}/s: {title(way)}, {how}", rate, 250)
            chosen = machine_for(way, rigs)
            chosen.line.tell("box")
            chosen.line.tell(f"rate {rate}")
            _, new, guest = rates(chosen, way, do, seconds)
            chosen.line.tell("rate 0")
            chosen.line.tell("still")
            # The time windows of the two counts differ by a frame at either end.
            yield Figure("screens", f"guest frames had at {rate}/s: {title(way)}, {how}",
                         new / guest, "x", None, "frames the guest drew",
                         f"{new:.0f}/s of {guest:.0f}/s",
                         0.99 if do == "screens" else None)  # fmt: skip


def figures(folder: str) -> Iterator[Figure | Curve]:
    seconds = amount("SECONDS", 5)
    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    with rig.all_three(folder, arguments) as rigs:
        yield from report(pictures(rigs, seconds))
        yield from distinct(rigs, seconds)
