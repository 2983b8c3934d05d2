"""From a key to its pixel in a page at the other end of a link: 20 Mbit/s, 20 ms there and back.

kju web uses TLS there, as it must; noVNC and QEMU's WebSocket use none. This needs root.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from kju.cli.demo.link import SimulatedLink

from . import browser_page as pages
from . import guests, rig
from .browser import TURN, lit
from .keys import SIZE
from .measure import Figure, amount, percentile, progress

#: Milliseconds over the round trip, p95; and the required ratio of noVNC's time.
MOST_ADDED, LEAST = 20.0, 3.0


def figures(folder: str) -> Iterator[Figure]:
    pages.novnc()
    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(SimulatedLink())
        one, other = link.one, link.other
        ours = stack.enter_context(rig.of_kju(folder, arguments, "kju-bench-link"))
        port = 5700 + random.randrange(200)
        shown = ["-display", "none", "-vnc", f"{one.address}:1,websocket={port}"]
        here = Path(folder) / "theirs"
        here.mkdir()
        theirs = stack.enter_context(rig.plain(here, [*arguments, *shown], one.before))
        theirs.line.tell("still")
        _certify(one.address)
        web = stack.enter_context(pages.kju_web(one.before, f"{one.address}:0"))
        socket = f"ws://{one.address}:{port}/"
        page = stack.enter_context(pages.novnc_page(socket, one.before, one.address))
        browser = stack.enter_context(pages.chromium(folder, other.before))
        ways = {"kju": (ours, web.page(ours.name)), "noVNC": (theirs, page)}
        taken: dict[str, list[float]] = defaultdict(list)
        first: dict[str, list[float]] = defaultdict(list)
        turns, place = max(1, round(amount("PRESSES", 60) / TURN)), lit(ours)
        for turn in range(turns):
            for number, (name, (guest, url)) in enumerate(ways.items()):
                progress(f"{link.shape.words}: {name}", 2 * turn + number, 2 * turns)
                with pages.shown(browser, url, place) as seen:
                    first[name].append(seen.first)
                    taken[name] += pages.presses(seen, guest, "idle", TURN)
        yield from _report(link, taken, first)


def _certify(address: str) -> None:
    """Make a certificate authority, if there is none, and a certificate for the address."""
    for words in (("authority",), ("web", address)):
        command = [sys.executable, "-m", "kju.cli", "cert", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and words[0] == "web":
            raise RuntimeError(done.stderr)


def _report(
    link: SimulatedLink, taken: dict[str, list[float]], first: dict[str, list[float]]
) -> Iterator[Figure]:
    trip = 2e3 * link.shape.delay
    ours, theirs = (percentile(taken[name], 0.95) for name in ("kju", "noVNC"))
    words = f"p50 {statistics.median(taken['kju']):.1f}, {len(taken['kju'])} presses seen"
    what = f"key to pixel on the canvas, p95, {link.shape.words}"
    yield Figure("browser_link", what, ours, "ms", trip + MOST_ADDED, "", words)
    words = f"{theirs:.1f} ms; p50 {statistics.median(taken['noVNC']):.1f}"
    yield Figure("browser_link", f"{what}: noVNC / kju", theirs / ours, "x", None, "noVNC", words,
                 LEAST)  # fmt: skip
    a, b = statistics.median(first["kju"]), statistics.median(first["noVNC"])
    yield Figure("browser_link", f"first picture, {link.shape.words}: kju / noVNC", a / b, "x",
                 None, "noVNC", f"{a:.0f} (TLS) against {b:.0f} ms (plain)")  # fmt: skip
