"""From a key to its pixel on a page's canvas: kju web against noVNC on QEMU's own WebSocket.

One Chromium shows each page in turns. The time begins with the browser's time of a trusted key
event, and ends with the call that drew the pixel on the visible canvas (browser_page.py).

``KJU_BENCH_LOOPS=2`` runs as many busy loops beside: then kju must be no worse than noVNC.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from . import browser_page as pages
from . import guests, rig
from .keys import SIZE
from .measure import Figure, amount, cpu_seconds, percentile, progress
from .rig import Rig

#: Presses of one turn.
TURN = 20
#: Regime, percentile, and the required ratio of noVNC's time to kju's: alone, and beside loops.
TARGETS = (
    ("idle", 0.5, 4.0, None),
    ("idle", 0.95, 3.0, None),
    ("busy", 0.5, 2.5, 1.0),
    ("busy", 0.95, 2.5, 1.0),
)
#: Seconds of an animation over which processor time is measured.
ANIMATED = 4.0
#: Bytes that a visit may load: 120 kB, compressed.
MOST_LOADED = 120.0


class Way(NamedTuple):
    """One of the two ways.

    Attributes:
        rig: Its guest.
        url: The address of its page.
        pids: The processes that serve it, without QEMU.
    """

    rig: Rig
    url: str
    pids: list[int]


class Used(NamedTuple):
    """Shares of a core during an animation."""

    browser: float
    servers: float
    qemu: float
    shown: float


def figures(folder: str) -> Iterator[Figure]:
    pages.novnc()
    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    loops = int(amount("LOOPS", 0))
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(rig.of_kju(folder, arguments, "kju-bench-browser"))
        port = 5700 + os.getpid() % 200
        socket = ["-vnc", f"unix:{folder}/vnc-page,websocket=127.0.0.1:{port}"]
        theirs = stack.enter_context(rig.of_qemu(folder, [*arguments, *socket], "none"))
        web = stack.enter_context(pages.kju_web())
        page = stack.enter_context(pages.novnc_page(f"ws://127.0.0.1:{port}/"))
        browser = stack.enter_context(pages.chromium(folder))
        for _ in range(loops):
            loop = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        ways = {
            "kju": Way(ours, web.page(ours.name), [web.pid, ours.host]),
            "noVNC": Way(theirs, page, []),
        }
        yield from _measure(browser, ways, folder, loops)


def lit(chosen: Rig) -> tuple[int, int]:
    """Return the place of a pixel with red, the last one: a page begins with black."""
    assert chosen.machine is not None
    rows, columns = np.nonzero(chosen.machine.screen.frame(sync=True)[:, :, 0])
    return int(columns[-1]), int(rows[-1])


def animated(shown: pages.Shown, moved: pages.Moved, pids: list[int], folder: str) -> Used:
    """Measure the processor time of a small animation.

    Args:
        shown: The page.
        moved: The guest.
        pids: The processes that serve the page.
        folder: The parent of the browser's files.
    """
    groups = [pids, [moved.pid]]

    def read() -> list[float]:
        return [pages.cpu(folder), *(sum(map(cpu_seconds, pids)) for pids in groups)]

    moved.line.tell("box")
    shown.reset()
    begun, before = time.monotonic(), read()
    time.sleep(ANIMATED)
    after, took = read(), time.monotonic() - begun
    drawn = len(shown.seen()["tasks"]) / took
    moved.line.tell("still")
    browser, servers, qemu = ((b - a) / took for a, b in zip(before, after, strict=True))
    return Used(browser, servers, qemu, drawn)


def _measure(browser: Any, ways: dict[str, Way], folder: str, loops: int) -> Iterator[Figure]:
    count = int(amount("PRESSES", 60))
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    first: dict[str, list[float]] = defaultdict(list)
    used: dict[str, list[Used]] = defaultdict(list)
    loaded: dict[str, int] = {}
    turns = max(1, round(count / TURN))
    place = lit(ways["kju"].rig)
    for turn in range(turns):
        for number, (name, way) in enumerate(ways.items()):
            progress(f"browser: {name}", turn * len(ways) + number, turns * len(ways))
            with pages.shown(browser, way.url, place) as shown:
                first[name].append(shown.first)
                loaded.setdefault(name, shown.loaded())
                for regime in ("idle", "busy"):
                    taken[name, regime] += pages.presses(shown, way.rig, regime, TURN)
                used[name].append(animated(shown, way.rig, way.pids, folder))
    beside = f", {loops} busy loops beside" if loops else ""
    for regime, share, least, least_beside in TARGETS:
        ours, theirs = taken["kju", regime], taken["noVNC", regime]
        words = f"{len(ours)} and {len(theirs)} presses of {turns * TURN} seen"
        a, b = percentile(ours, share), percentile(theirs, share)
        yield Figure(
            "browser", f"key to pixel on the canvas, {regime}, p{share * 100:g}{beside}: noVNC/kju",
            b / a, "x", None, "noVNC", f"{a:.1f} against {b:.1f} ms; {words}",
            least_beside if loops else least,
        )  # fmt: skip
    if not loops:
        yield from _visits(first, loaded)
        yield from _processors(used)


def _visits(first: dict[str, list[float]], loaded: dict[str, int]) -> Iterator[Figure]:
    a, b = statistics.median(first["kju"]), statistics.median(first["noVNC"])
    yield Figure(
        "browser", "first picture from the navigation: kju / noVNC", a / b, "x", 0.5, "noVNC",
        f"{a:.0f} against {b:.0f} ms; first visit, which fills the caches: "
        f"{first['kju'][0]:.0f} against {first['noVNC'][0]:.0f} ms",
    )  # fmt: skip
    yield Figure(
        "browser", "all that the first visit loads", loaded["kju"] / 1000, "kB", MOST_LOADED, "",
        f"noVNC {loaded['noVNC'] / 1000:.0f} kB",
    )  # fmt: skip


def _processors(used: dict[str, list[Used]]) -> Iterator[Figure]:
    ours, theirs = (
        Used(*(statistics.median(c) for c in zip(*used[name], strict=True)))
        for name in ("kju", "noVNC")
    )
    pictures = f"{ours.shown:.0f} and {theirs.shown:.0f} pictures a second"
    yield Figure(
        "browser", "CPU of the browser over a small animation: kju / noVNC",
        ours.browser / theirs.browser, "x", 1.0, "noVNC",
        f"{100 * ours.browser:.0f} against {100 * theirs.browser:.0f} % of a core; {pictures}",
    )  # fmt: skip
    yield Figure(
        "browser", "CPU of kju web and the host over the same", 100 * ours.servers, "% of a core",
        None, "", f"QEMU {100 * ours.qemu:.0f} % beside kju, {100 * theirs.qemu:.0f} % with VNC",
    )  # fmt: skip
