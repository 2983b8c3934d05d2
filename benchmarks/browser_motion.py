"""Film and full-screen gradients in a page, 30 pictures a second: kju web against noVNC.

No guest runs: the same pictures are stored in the video memory of both machines (shown.py). A
counter in four pixels tells which pictures were drawn on the canvas.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import kju

from . import browser_page as pages
from . import traces
from .measure import Figure, amount, cpu_seconds, percentile, progress
from .shown import SIZE, Shown, shown

WIDTH, HEIGHT, RATE = 1280, 800, 30
#: Pictures, and the rows in which they differ.
MOVIES: dict[str, tuple[Callable[[], Iterator[Any]], int, int]] = {
    "film 640x360": (traces.film, 200, 360),
    "full-screen gradients": (traces.gradient, 0, HEIGHT),
}
#: Milliseconds of a drawing at most, p95; and the required ratio of processor time to noVNC's.
MOST_DRAWING, MOST_CPU = 16.0, 0.6
#: Place of the counter below the first row, in the changing columns of both.
COUNTER_X = 400
SETTLE = 2.0


class Way(NamedTuple):
    """One of the two ways: its video card, its page, and the processes that serve it."""

    card: Shown
    url: str
    pids: list[int]


class Seen(NamedTuple):
    """Figures of one page: shares of a core, milliseconds, pictures."""

    browser: float
    servers: float
    drawings: list[float]
    long_tasks: int
    pictures: float


def figures(folder: str) -> Iterator[Figure]:
    pages.novnc()
    with contextlib.ExitStack() as stack:
        machine = stack.enter_context(_machine(folder))
        port = 5900 + os.getpid() % 90
        socket = f"unix:{folder}/vnc-motion,websocket=127.0.0.1:{port}"
        theirs = stack.enter_context(shown(folder, WIDTH, HEIGHT, vnc=socket))
        web = stack.enter_context(pages.kju_web())
        page = stack.enter_context(pages.novnc_page(f"ws://127.0.0.1:{port}/"))
        browser = stack.enter_context(pages.chromium(folder))
        card, host = machine
        ways = {
            "kju": Way(card, web.page("kju-bench-motion"), [web.pid, host]),
            "noVNC": Way(theirs, page, [theirs.pid]),
        }
        for name, (make, y, rows) in MOVIES.items():
            yield from _measure(browser, ways, folder, name, _rows(make(), y, rows), y)


@contextlib.contextmanager
def _machine(folder: str) -> Iterator[tuple[Shown, int]]:
    """Run a machine without a guest; yield its card and the pid of its host."""
    here = Path(folder) / "motion"
    here.mkdir()
    arguments = ["-machine", "pc", "-accel", "tcg", "-m", "16", "-S",
                 "-qtest", f"unix:{here}/test,server=on,wait=off", "-qtest-log", "/dev/null",
                 "-vga", "none", "-device", f"VGA,addr=2,vgamem_mb={SIZE >> 20}"]  # fmt: skip
    with kju.launch(name="kju-bench-motion", args=arguments) as machine:
        pid = int(machine.info()["qemu"]["pid"])
        with contextlib.closing(Shown(here, pid, WIDTH, HEIGHT)) as card:
            yield card, machine.host_pid


def _rows(pictures: Iterator[Any], y: int, rows: int) -> list[np.ndarray]:
    """Return the changing rows of pictures with a counter."""
    found = []
    for number, picture in enumerate(pictures, 1):
        part = np.array(picture[y : y + rows])
        part[0, COUNTER_X : COUNTER_X + 4, :3] = (number, 255 - number, 200)
        found.append(part)
    return found


@contextlib.contextmanager
def _playing(card: Shown, movie: list[np.ndarray], y: int) -> Iterator[None]:
    over = threading.Event()

    def play() -> None:
        begun = time.monotonic()
        while not over.is_set():
            number = int((time.monotonic() - begun) * RATE)
            card.paint(movie[number % len(movie)], y)
            over.wait(max(0.0, begun + (number + 1) / RATE - time.monotonic()))

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _seen(browser: Any, way: Way, folder: str, movie: list[np.ndarray], y: int) -> Seen:
    seconds = amount("SECONDS", 10)
    way.card.paint(movie[0], y)
    counter = COUNTER_X, y
    with pages.shown(browser, way.url, counter, counter) as shown_, _playing(way.card, movie, y):
        time.sleep(SETTLE)
        shown_.reset()

        def read() -> tuple[float, float]:
            return pages.cpu(folder), sum(map(cpu_seconds, way.pids))

        before, begun = read(), time.monotonic()
        time.sleep(seconds)
        after, took = read(), time.monotonic() - begun
        seen = shown_.seen()
    if not seen["tasks"]:
        raise RuntimeError("the page has drawn nothing of the movie")
    browser_, servers = ((b - a) / took for a, b in zip(before, after, strict=True))
    return Seen(browser_, servers, seen["tasks"], seen["long"], len(seen["shown"]) / took)


def _measure(
    browser: Any, ways: dict[str, Way], folder: str, name: str, movie: list[np.ndarray], y: int
) -> Iterator[Figure]:
    taken = {}
    for number, (way, each) in enumerate(ways.items()):
        progress(f"{name}: {way}", number, len(ways))
        taken[way] = _seen(browser, each, folder, movie, y)
    ours, theirs = taken["kju"], taken["noVNC"]
    pictures = f"{ours.pictures:.0f} and {theirs.pictures:.0f} pictures a second"
    yield Figure("browser_motion", f"{name}, tasks over 50 ms", ours.long_tasks, "tasks", 0, "",
                 f"noVNC {theirs.long_tasks}; {pictures}")  # fmt: skip
    yield Figure("browser_motion", f"{name}, time of a drawing, p95",
                 percentile(ours.drawings, 0.95), "ms", MOST_DRAWING, "",
                 f"p50 {percentile(ours.drawings, 0.5):.1f}, max {max(ours.drawings):.1f} ms;"
                 f" {len(ours.drawings)} drawings")  # fmt: skip
    yield Figure("browser_motion", f"{name}, CPU of the browser: kju / noVNC",
                 ours.browser / theirs.browser, "x", MOST_CPU, "noVNC",
                 f"{100 * ours.browser:.0f} against {100 * theirs.browser:.0f} % of a core;"
                 f" kju web and host {100 * ours.servers:.0f} %, QEMU with VNC"
                 f" {100 * theirs.servers:.0f} %; {pictures}")  # fmt: skip
