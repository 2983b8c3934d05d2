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
from .far_screen import RATE
from .measure import Figure, amount, percentile, progress

#: The link, and how many times lower than VNC kju has to be.
SHAPES = ((Shape(20e6, 0.010), 3.0), (Shape(20e6, 0.050, loss=0.01), 2.0))
#: Milliseconds that may come on top of a round trip.
MOST_ADDED = 15
PORT = 7461
#: A link that an animation fills.
SLOW = Shape(1e6, 0.010)
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
        yield from saturated(link)


def animated(link: Link, shape: Shape, seconds: float) -> tuple[list[float], int]:
    """Ages of what is shown of a screen that changes everywhere, milliseconds; and bytes."""
    link.set(shape)
    place = f"tcp/{link.one.address}:{PORT + 1}"
    words = [sys.executable, "-m", "benchmarks.far_screen"]
    serve = [*link.one.before, *words, "serve", place, str(seconds + 10)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        view = [*link.other.before, *words, "view", place, str(seconds)]
        done = subprocess.run(view, capture_output=True, text=True, timeout=120, check=True)
        process.kill()
    found = json.loads(done.stdout)
    return found["ages"], found["bytes"]


def saturated(link: Link) -> Iterator[Figure]:
    """What is shown must be no older than one frame's damage takes."""
    seconds = amount("SECONDS", 20)
    progress("a link that is not full, for the bytes of a frame", 0, 2)
    _, total = animated(link, Shape(100e6, 0.001), 5)
    frame = total / (5 * RATE)
    progress("a link that is full", 1, 2)
    ages, total = animated(link, SLOW, seconds)
    most = 1000 * (3 * SLOW.delay + 8 * frame / SLOW.rate)
    words = (
        f"p50 {statistics.median(ages):.0f}, p95 {percentile(ages, 0.95):.0f} ms;"
        f" {8 * total / seconds / SLOW.rate:.0%} of the link used, {frame / 1000:.0f} kB a frame"
    )
    yield Figure("far", f"age of what is shown, the oldest, {SLOW.words}, all of it moving",
                 max(ages), "ms", round(most), "", words)  # fmt: skip


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
