"""The age of the shown pixels of a screen that moves everywhere, on a link that it fills.

kju serves a surface in which the frames are drawn; for VNC the same frames are drawn on the card of
a QEMU without a guest (shown.py). Both are drawn by the same clock, and the pixels contain the
frame's number (ages.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np

from kju.cli.demo.link import Shape, SimulatedLink

from . import tiger
from .ages import HEIGHT, RATE, WIDTH, Look, draw, gradient, tell
from .far import PORT
from .measure import Figure, amount, percentile, progress
from .shown import Shown, shown

SLOW = Shape(1e6, 0.010)
#: A link with spare capacity, to count the bytes of a frame, and the duration in seconds.
WIDE, COUNTED = Shape(100e6, 0.001), 5.0
WAYS = {"kju": "kju", "tight": "QEMU's VNC, Tight", "zrle": "QEMU's VNC, ZRLE",
        "tigervnc": "QEMU's VNC, TigerVNC's viewer"}  # fmt: skip
VNC = 5902


@contextlib.contextmanager
def served(link: SimulatedLink, seconds: float) -> Iterator[str]:
    """Serve the animation by kju at one end; yield the place."""
    place = f"tcp/{link.one.address}:{PORT + 1}"
    words = [sys.executable, "-m", "benchmarks.far_screen", place, str(seconds)]
    with subprocess.Popen([*link.one.before, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield place
        finally:
            process.kill()


@contextlib.contextmanager
def drawn(link: SimulatedLink, folder: str) -> Iterator[str]:
    """Draw the animation on the card of a QEMU at one end; yield its VNC server's place."""
    where = f"{link.one.address}:{VNC - 5900}"
    with shown(folder, WIDTH, HEIGHT, link.one.before, where) as qemu:
        over = threading.Event()
        drawing = threading.Thread(target=animate, args=(qemu, over))
        drawing.start()
        try:
            yield f"{link.one.address}:{VNC}"
        finally:
            over.set()
            drawing.join()


def animate(qemu: Shown, over: threading.Event) -> None:
    pixels, slope = np.zeros((HEIGHT, WIDTH, 4), np.uint8), gradient()
    while not over.is_set():
        number = int(time.monotonic() * RATE)
        draw(pixels, slope, number)
        qemu.paint(pixels)
        over.wait(max(0.0, (number + 1) / RATE - time.monotonic()))


def watched(link: SimulatedLink, way: str, folder: str, seconds: float) -> tuple[list[Look], int]:
    """Return the readings of a viewer at the far end, and the bytes that were sent to it."""
    with served(link, seconds + 60) if way == "kju" else drawn(link, folder) as place:
        before = link.sent()[0]
        view = [*link.other.before, sys.executable, "-m", "benchmarks.far_watch", way, place]
        done = subprocess.run([*view, str(seconds)], capture_output=True, text=True,
                              timeout=seconds + 120, check=True)  # fmt: skip
        return [Look(*each) for each in json.loads(done.stdout)], link.sent()[0] - before


def report(
    way: str, looks: list[Look], size: int, seconds: float, most: float | None
) -> Iterator[Figure]:
    begun, after, every = tell(looks, 0, 1), tell(looks, 1), tell(looks, 0)
    if not after.shown:
        raise RuntimeError(f"{WAYS[way]} showed nothing after its first second")
    times = len(after.shown) / (looks[-1].at - looks[0].at - 1)
    used = f"{8 * size / seconds / SLOW.rate:.0%} of the link used; load {os.getloadavg()[0]:.1f}"
    what = f"age of what is shown, the oldest, {SLOW.words}, all of it moving: {WAYS[way]}"
    yield Figure("animated", what, max(every.shown), "ms", most, "",
                 f"{every.words()}; something new {times:.1f} times a second; {used}")  # fmt: skip
    for words, told in (("after the first second", after), ("in the first second", begun)):
        if told.shown:
            yield Figure("animated", f"the same {words}: {WAYS[way]}", max(told.shown), "ms", most,
                         "", told.words())  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    """Measure; the shown pixels must be no older than the time to send one frame."""
    seconds = amount("SECONDS", 20)
    asked = os.environ.get("KJU_BENCH_WAYS", ",".join(WAYS)).split(",")
    ways = [way for way in WAYS if way in asked and not (way == "tigervnc" and tiger.missing())]
    tails = {}
    with SimulatedLink(WIDE) as link:
        progress("a link that is not full, for the bytes of a frame", 0, len(ways) + 1)
        looks, size = watched(link, "kju", folder, COUNTED)
        # By the oldest visible frame: the computer may be too slow for all frames.
        whole = {round((look.at - look.oldest / 1000) * RATE) for look in looks if look.oldest >= 0}
        frame = size / len(whole)
        yield Figure("animated", f"bytes of a frame: kju, {WIDE.words}", frame / 1000, "kB",
                     None, "", f"{len(whole) / COUNTED:.1f} a second, of {RATE}")  # fmt: skip
        most = round(1000 * (3 * SLOW.delay + 8 * frame / SLOW.rate))
        link.set(SLOW)
        for number, way in enumerate(ways, 1):
            progress(f"a link that is full: {WAYS[way]}", number, len(ways) + 1)
            looks, size = watched(link, way, folder, seconds)
            yield from report(way, looks, size, seconds, most if way == "kju" else None)
            tails[way] = percentile(tell(looks, 1).shown, 0.95)
    ours = tails.pop("kju", None)
    for way, theirs in tails.items():
        if not ours:
            break
        yield Figure("animated", f"p95 after the first second: times younger than {WAYS[way]}",
                     theirs / ours, "x", None, WAYS[way], "")  # fmt: skip
