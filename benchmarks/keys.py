"""From a key to its pixel, from the guest's store to the viewer, and spontaneous changes.

Each viewer is measured in turns of the two regimes. This process sends the keys; the viewer is
another one (`viewer.py`).
"""

from __future__ import annotations

import math
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from . import guests, rig
from .measure import Curve, Figure, amount, percentile, progress
from .peers import KEY_NAME, WAYS
from .rig import Rig, Rigs
from .viewer import SELF, Running, missing, viewing

SIZE = "1280x800"
#: Seconds that a key is held: a tap, shorter than the pause in either regime.
HOLD = 0.02
IDLE = (1.0, 1.3)
BUSY = 0.05
#: Presses of one turn; the other load of the computer changes from minute to minute.
TURN = 60
#: Each with the keys of its own users. A key that reaches QEMU in another way ("/qmp") is a
#: spontaneous change for kju and VNC.
ORDER = ("kju", "polled", "kju/qmp", "listener", "vnc-raw", "vnc-raw/qmp", "vnc-beside", "vnc-zrle",
         "vnc-tight", "vncdotool", "asyncvnc", "screendump-ppm", "screendump-png")  # fmt: skip


@dataclass
class Taken:
    """Results of one viewer in one regime, milliseconds."""

    pixel: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    wakes: list[int] = field(default_factory=list)
    lost: int = 0
    failed: list[str] = field(default_factory=list)

    def words(self) -> str:
        p50, p95, p99, most = (percentile(self.pixel, s) for s in (0.5, 0.95, 0.99, 1.0))
        text = f"p50 {p50:.2f}, p95 {p95:.2f}, p99 {p99:.2f}, max {most:.2f} ms"
        if self.added:
            text += (
                f"; store to seen {percentile(self.added, 0.5):.2f}, "
                f"p95 {percentile(self.added, 0.95):.2f} ms"
            )
        text += f"; {statistics.fmean(self.wakes):.1f} wake-ups each; {len(self.pixel)} presses"
        text += f", {self.lost} never seen" if self.lost else ""
        return "; ".join([text, *self.failed])


Results = dict[tuple[str, str], Taken]


def title(way: str) -> str:
    name, _, keys = way.partition("/")
    return WAYS[name].title + (", keys by QMP" if keys else "")


def _press(chosen: Rig, keys: str, viewer: Running | None) -> Callable[[bool], int]:
    """Return a function that presses or releases the key and returns the time of sending."""
    if keys == "own" and viewer is not None:
        return viewer.key
    if keys == "qmp" or chosen.machine is None:
        return lambda down: chosen.keys.key(KEY_NAME, down)
    keyboard = chosen.machine.keyboard

    def press(down: bool) -> int:
        at = time.monotonic_ns()
        (keyboard.press if down else keyboard.release)(KEY_NAME)
        return at

    return press


def presses(
    chosen: Rig, keys: str, regime: str, count: int, viewer: Running | None = None
) -> list[int]:
    """Press *count* times; return the time at which each press was sent.

    Args:
        chosen: The guest.
        keys: The source of the keys, as in `Way.keys`.
        regime: ``idle`` or ``busy``.
        count: Number of presses.
        viewer: The viewer that presses, for ``own``.
    """
    press, left = _press(chosen, keys, viewer), []
    due = time.monotonic()
    for _ in range(count):
        left.append(press(True))
        time.sleep(HOLD)
        press(False)
        due = max(due + (BUSY if regime == "busy" else random.uniform(*IDLE)), time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
    return left


def match(chosen: Rig, left: list[int], first: int, samples: list[list[int]], into: Taken) -> None:
    """Add the results of presses whose counters follow *first*."""
    for number, at in enumerate(left, first + 1):
        found = next((s for s in samples if s[0] >= number and s[1] >= at), None)
        if found is None:
            into.lost += 1
            continue
        counter, seen, ticks, wakes = found
        into.pixel.append((seen - at) / 1e6)
        if counter == number:
            into.wakes.append(wakes)
            if ticks:
                into.added.append((seen - chosen.clock.nanoseconds(ticks)) / 1e6)


def turn(chosen: Rig, way: str, regime: str, count: int, into: Taken) -> None:
    """Run one viewer while keys are pressed."""
    name, _, keys = way.partition("/")
    chosen.line.tell("box" if regime == "busy" else "still")
    # QEMU notices a new mode when a client makes it draw: two of the viewers cannot follow that.
    chosen.keys.command("screendump", filename=str(chosen.folder / "size"))
    with viewing(name, chosen.where) as viewer:
        keys = keys or WAYS[name].keys
        # While it sends its clock the guest draws nothing, which lengthens VNC's interval.
        chosen.clock.anchor()
        time.sleep(1)
        # Not counted: a first call imports modules.
        presses(chosen, keys, "idle", 1, viewer)
        left = presses(chosen, keys, regime, count, viewer)
        time.sleep(0.5 if regime == "busy" else 1)
        chosen.clock.anchor()
        (seen,) = viewer.stop()
    chosen.line.tell("still")
    match(chosen, left, viewer.number + 1, seen["samples"], into)


def machine_for(way: str, rigs: Rigs) -> Rig:
    return rigs[WAYS[way.partition("/")[0]].machine]


def measure(rigs: Rigs, count: int, order: Sequence[str] = ORDER) -> Results:
    asked = os.environ.get("KJU_BENCH_WAYS", "").split(",")
    ways = [
        way for way in order
        if (asked == [""] or way in asked) and not missing(way.partition("/")[0])
    ]  # fmt: skip
    results: Results = defaultdict(Taken)
    turns = max(1, round(count / TURN))
    total, done = turns * len(ways) * 2, 0
    for _ in range(turns):
        for regime in ("idle", "busy"):
            for way in ways:
                progress(f"{regime}: {title(way)}", done, total)
                chosen = machine_for(way, rigs)
                taken = results[way, regime]
                try:
                    turn(chosen, way, regime, -(-count // turns), taken)
                except RuntimeError as error:  # a failure is reported; the others continue
                    taken.failed.append(f"a turn failed: {error}")
                done += 1
    return results


def by_itself(rigs: Rigs, count: int) -> Iterator[Figure]:
    """Measure changes that the guest makes after ten seconds without a change."""
    for number, way in enumerate(("kju", "listener", "vnc-raw")):
        progress(f"by itself: {title(way)}", number, 3)
        chosen, taken = machine_for(way, rigs), []
        with viewing(way, chosen.where, x=SELF[0], y=SELF[1]) as viewer:
            chosen.clock.anchor()
            chosen.line.tell("self 10000-11000")
            time.sleep(10.5 * count + 1)
            chosen.line.tell("self")
            chosen.clock.anchor()
            (seen,) = viewer.stop()
        for _, at, ticks, _ in seen["samples"]:
            if ticks:
                taken.append((at - chosen.clock.nanoseconds(ticks)) / 1e6)
        if taken:
            yield Figure(
                "keys", f"a change by itself after 10 s of stillness, p95: {title(way)}",
                percentile(taken, 0.95), "ms", 35 if way == "kju" else None, "",
                f"p50 {statistics.median(taken):.2f}, max {max(taken):.2f} ms, "
                f"{len(taken)} changes",
            )  # fmt: skip


#: Percentile, and the maximum ratio of kju's time to the bare minimum.
LEAST_WORK = ((0.5, 1.25), (0.95, 1.5))
#: Regime, percentile, peer, and the required ratio of the peer's time to kju's.
TARGETS = (
    ("idle", 0.5, "vnc-raw", 8), ("idle", 0.95, "vnc-raw", 6), ("idle", 0.95, "listener", 6),
    ("busy", 0.5, "vnc-raw", 3.5), ("busy", 0.95, "vnc-raw", 6),
    ("busy", 0.5, "listener", 3.5), ("busy", 0.95, "listener", 6),
)  # fmt: skip


def beside_the_least(results: Results, guest: str) -> Iterator[Figure]:
    """Compare kju with the minimum: a bare QMP line and a reading of the video memory."""
    for regime in ("idle", "busy"):
        ours, theirs = results["kju", regime].pixel, results["polled", regime].pixel
        for share, most in LEAST_WORK if ours and theirs else ():
            a, b = percentile(ours, share), percentile(theirs, share)
            what = f"key to pixel, {guest}, {regime}, p{share * 100:.0f}"
            yield Figure("keys", f"{what}: times a bare QMP line and polled video memory",
                         a / b, "x", most, title("polled"),
                         f"{a:.2f} against {b:.2f} ms")  # fmt: skip


def report(results: Results) -> Iterator[Figure | Curve]:
    for (way, regime), taken in results.items():
        if not taken.pixel:
            yield Figure("keys", f"key to pixel, {regime}: {title(way)}", math.nan, "ms", None, "",
                         "; ".join(taken.failed) or "never seen")  # fmt: skip
        else:
            yield Figure("keys", f"key to pixel, {regime}: {title(way)}",
                         percentile(taken.pixel, 0.5), "ms", None, "", taken.words())  # fmt: skip
            yield Curve("keys", f"key to pixel, {regime}", title(way), sorted(taken.pixel),
                        [100 * (i + 1) / len(taken.pixel) for i in range(len(taken.pixel))],
                        "% of presses seen within so many ms")  # fmt: skip
    for regime, share, peer, least in TARGETS:
        ours, theirs = results["kju", regime].pixel, results[peer, regime].pixel
        if ours and theirs:
            a, b = percentile(ours, share), percentile(theirs, share)
            what = f"key to pixel, {regime}, p{share * 100:.0f}: times lower than {title(peer)}"
            yield Figure("keys", what, b / a, "x", None, title(peer),
                         f"{a:.2f} against {b:.2f} ms", least)  # fmt: skip
    for regime in ("idle", "busy"):
        added = results["kju", regime].added
        for share, most in ((0.5, 1.0), (0.95, 2.0)) if added else ():
            yield Figure("keys", f"added by kju, {regime}, p{share * 100:.0f}",
                         percentile(added, share), "ms", most, "",
                         "the guest's store to the woken viewer's look")  # fmt: skip


def figures(folder: str) -> Iterator[Figure | Curve]:
    count = int(amount("PRESSES", 300))
    with rig.of_kju(folder, guests.plain()) as chosen:
        chosen.line.tell("still")
        results = measure({"kju": chosen}, count, ("kju", "polled"))
        yield from beside_the_least(results, "plain guest")
    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    with rig.all_three(folder, arguments) as rigs:
        results = measure(rigs, count)
        yield from report(results)
        yield from beside_the_least(results, "Linux")
        yield from by_itself(rigs, int(amount("CHANGES", max(2, count // 8))))
