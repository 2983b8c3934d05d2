"""Across a link that is slow and far: from a key to its pixels, kju's mirror and QEMU's VNC."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kju.testing.link import End, Link, Shape

from . import guests, rig
from .measure import Figure, amount, percentile, progress

#: The link, and how many times lower than VNC kju has to be.
SHAPES = ((Shape(20e6, 0.010), 3.0), (Shape(20e6, 0.050, loss=0.01), 2.0))
#: Milliseconds that may come on top of a round trip.
MOST_ADDED = 15
PORT = 7461
WAYS = {"kju": "kju", "tight": "QEMU's VNC, Tight", "zrle": "QEMU's VNC, ZRLE"}


@contextlib.contextmanager
def served(name: str, end: End) -> Iterator[tuple[str, str]]:
    """`kju serve` at one end; the address, and where it is."""
    place = f"tcp/{end.address}:{PORT}"
    words = ["serve", name, "--prefix", "bench", "--listen", place, "--insecure"]
    command = [*end.before, sys.executable, "-m", "kju.apps", *words]
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
    """The guest in plain QEMU at one end, with a VNC server there."""
    here = Path(tempfile.mkdtemp(dir=folder))
    program = os.environ.get("KJU_QEMU", "qemu-system-x86_64")
    shown = ["-display", "none", "-vnc", f"{end.address}:1"]
    words = [*end.before, program, "-nodefaults", *arguments, *rig.lines(here), *shown]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        made = rig.Rig(here, None, process.pid)
        with contextlib.closing(made):
            made.line.until("kju: ready")
            made.line.tell("still")
            yield made
    finally:
        process.kill()
        process.wait()


def pressed(end: End, *words: str) -> list[float]:
    """Milliseconds of each press, as the viewer at this end has them."""
    command = [*end.before, sys.executable, "-m", "benchmarks.far_viewer", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    return [float(each) for each in json.loads(done.stdout)]


def figures(folder: str) -> Iterator[Figure]:
    count = int(amount("PRESSES", 100))
    arguments = guests.measured("VGA", via="vram", mode="still", size="1280x800")
    with (
        Link() as link,
        rig.of_kju(folder, arguments, "kju-bench-far") as ours,
        qemu(folder, arguments, link.one),
        served(ours.name, link.one) as (address, place),
    ):
        ours.line.tell("still")
        for number, (shape, least) in enumerate(SHAPES):
            link.set(shape)
            taken = {}
            for step, way in enumerate(WAYS):
                progress(f"{shape.words}: {WAYS[way]}", number * len(WAYS) + step, 2 * len(WAYS))
                where = (address, place) if way == "kju" else (link.one.address, "5901")
                taken[way] = pressed(link.other, way, *where, str(count))
            yield from report(shape, least, taken)


def report(shape: Shape, least: float, taken: dict[str, list[float]]) -> Iterator[Figure]:
    trip, tails = 2e3 * shape.delay, {}
    for way, every in taken.items():
        seen = [each for each in every if each >= 0]
        tails[way] = percentile(seen, 0.95)
        limit = trip + MOST_ADDED if way == "kju" and not shape.loss else None
        yield Figure("far", f"key to pixel, p95, {shape.words}: {WAYS[way]}", tails[way], "ms",
                     limit, "", f"p50 {statistics.median(seen):.1f}, max {max(seen):.1f} ms;"
                     f" {len(seen)} of {len(every)} seen")  # fmt: skip
    best = min(tails["tight"], tails["zrle"])
    yield Figure("far", f"the same: times lower than VNC's best, {shape.words}",
                 best / tails["kju"], "x", None, "QEMU's VNC", "", least)  # fmt: skip
