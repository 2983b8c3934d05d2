"""From a key to its pixels over a slow link with a long delay: kju's mirror and VNC viewers.

All show the same guest: kju one that it runs, VNC one in plain QEMU. They alternate, so that a
drift of the computer's speed affects all.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from kju.cli.demo.link import End, Shape, SimulatedLink

from . import guests, rig, tiger
from .far_viewer import PATIENCE
from .measure import Figure, amount, percentile, progress

#: The links, and the required ratio of VNC's time to kju's.
SHAPES = ((Shape(20e6, 0.010), 3.0), (Shape(20e6, 0.050, loss=0.01), 2.0))
#: Maximum milliseconds in addition to a round trip.
MOST_ADDED = 15
PORT = 7461
#: Presses of one turn.
TURN = 25
WAYS = {
    "kju": "kju",
    "tight": "QEMU's VNC, Tight",
    "zrle": "QEMU's VNC, ZRLE",
    "tigervnc": "QEMU's VNC, TigerVNC's viewer",
    "vncdotool": "QEMU's VNC, vncdotool",
}


def ways() -> list[str]:
    """Return the requested viewers that are installed."""
    asked = os.environ.get("KJU_BENCH_WAYS", ",".join(WAYS)).split(",")
    lacks = {"tigervnc": bool(tiger.missing()), "vncdotool": find_spec("vncdotool") is None}
    return [way for way in WAYS if way in asked and not lacks.get(way)]


@contextlib.contextmanager
def served(name: str, end: End) -> Iterator[tuple[str, str]]:
    """Run `kju serve` at one end; yield the address and the place."""
    place = f"tcp/{end.address}:{PORT}"
    words = ["serve", name, "--prefix", "bench", "--listen", place, "--insecure"]
    command = [*end.before, sys.executable, "-m", "kju.cli", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield f"zenoh:bench/{name}", place
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def qemu(folder: str, arguments: list[str], end: End) -> Iterator[rig.Rig]:
    """Run the guest in plain QEMU at one end, with a VNC server."""
    here = Path(tempfile.mkdtemp(dir=folder))
    shown = ["-display", "none", "-vnc", f"{end.address}:1"]
    with rig.plain(here, [*arguments, *shown], end.before) as made:
        made.line.tell("still")
        yield made


def pressed(end: End, *words: str) -> list[float]:
    """Return the milliseconds of each press, measured by the viewer at this end."""
    command = [*end.before, sys.executable, "-m", "benchmarks.far_viewer", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    return [float(each) for each in json.loads(done.stdout)]


def figures(folder: str) -> Iterator[Figure]:
    count = int(amount("PRESSES", 100))
    arguments = guests.measured("VGA", via="vram", mode="still", size="1280x800")
    with (
        SimulatedLink() as link,
        rig.of_kju(folder, arguments, "kju-bench-far") as ours,
        qemu(folder, arguments, link.one),
        served(ours.name, link.one) as (address, place),
    ):
        ours.line.tell("still")
        for shape, least in SHAPES:
            link.set(shape)
            where = dict.fromkeys(ways(), (link.one.address, "5901")) | {"kju": (address, place)}
            yield from report(shape, least, in_turns(link, where, count))


def in_turns(
    link: SimulatedLink, where: dict[str, tuple[str, str]], count: int
) -> dict[str, list[float]]:
    """Return the milliseconds of each viewer's presses."""
    taken: dict[str, list[float]] = defaultdict(list)
    rounds = max(1, round(count / TURN))
    for number in range(rounds):
        for step, way in enumerate(ways()):
            done = number * len(ways()) + step
            progress(f"{link.shape.words}: {WAYS[way]}", done, rounds * len(ways()))
            taken[way] += pressed(link.other, way, *where[way], str(-(-count // rounds)))
    return taken


def report(shape: Shape, least: float, taken: dict[str, list[float]]) -> Iterator[Figure]:
    trip, tails = 2e3 * shape.delay, {}
    for way, every in taken.items():
        # A press that was never seen counts as the time limit.
        seen = [each if each >= 0 else 1000 * PATIENCE for each in every]
        tails[way] = percentile(seen, 0.95)
        limit = trip + MOST_ADDED if way == "kju" and not shape.loss else None
        yield Figure("far", f"key to pixel, p95, {shape.words}: {WAYS[way]}", tails[way], "ms",
                     limit, "", f"p50 {statistics.median(seen):.1f}, max {max(seen):.1f} ms;"
                     f" {sum(each >= 0 for each in every)} of {len(every)} seen; load"
                     f" {os.getloadavg()[0]:.1f}")  # fmt: skip
    ours = tails.pop("kju", None)
    for way, theirs in tails.items():
        if not ours:
            break
        yield Figure("far", f"the same: times lower than {WAYS[way]}, {shape.words}",
                     theirs / ours, "x", None, WAYS[way], "", least)  # fmt: skip
