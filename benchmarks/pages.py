"""Pages of one screen: the CPU and memory of the server of `kju web`, and a page that stops.

A screen of 1280x800 moves everywhere (far_screen.py), the worst case: each picture is encoded once,
for all pages. The pages acknowledge and do not draw (pages_ends.py).

A page that stops (SIGSTOP) is measured as in stopped.py: the server's memory during a million
publications of a small change, and the time from a key to its pixels in another page, alone and
beside it alternately, while a small area moves.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from . import programs
from .measure import Figure, amount, cpu_seconds, progress, written_memory
from .programs import PUBLICATIONS, RATES, START, Program

PAGES = (1, 50)
#: Pictures a second; of the small area.
RATE, SMALL_RATE = 10.0, 30
#: Presses alone and beside a stopped page; of one turn. The server removes a page that is silent
#: for 10 s, and a turn takes 11 s.
PRESSES, TURN = 1600, 200


class Taken(NamedTuple):
    """Figures of the server.

    Attributes:
        cpu: Its share of a core.
        memory: Bytes that it has written.
        messages: Messages a second to a page.
        each: Bytes a second to a page.
        grown: Bytes by which its memory grew while one page more read nothing.
    """

    cpu: float
    memory: int
    messages: float
    each: float
    grown: int


def with_pages(count: int, seconds: float) -> Taken:
    with contextlib.ExitStack() as stack:
        server = Program(stack, "pages_ends", "serve", str(amount("RATE", RATE)))
        pages = Program(stack, "pages_ends", "view", *server.line(START).split(), str(count))
        pages.line(START)
        time.sleep(2)  # for the first pictures
        before, cpu, at = pages.answer(), cpu_seconds(server.pid), time.monotonic()
        time.sleep(seconds)
        after, used, took = pages.answer(), cpu_seconds(server.pid) - cpu, time.monotonic() - at
        memory = written_memory(server.pid)
        pages.answer("stop")
        time.sleep(2)
        stopped = written_memory(server.pid)
        time.sleep(seconds)
        grown = written_memory(server.pid) - stopped
        rates = {
            what: sum(b - a for a, b in zip(before[what], after[what], strict=True)) / count / took
            for what in ("messages", "bytes")
        }
        return Taken(used / took, memory, rates["messages"], rates["bytes"], grown)


def publications(count: int, rate: float) -> Iterator[Figure]:
    """Measure a page that is stopped during publications."""
    with contextlib.ExitStack() as stack:
        server = Program(stack, "pages_ends", "tick")
        page = Program(stack, "pages_ends", "show", *server.line(START).split())
        page.line(START)
        taken = programs.publications(server, page, count, rate)
    yield from programs.report("pages", "page", count, taken)


def beside() -> Iterator[Figure]:
    """Measure a page's key to pixel, alone and with a stopped page, alternately."""
    count = int(amount("PRESSES", PRESSES))
    turn = min(TURN, count)
    turns = max(1, count // turn)
    taken: tuple[list[float], list[float]] = ([], [])
    with contextlib.ExitStack() as stack:
        server = Program(stack, "pages_ends", "tick")
        address = server.line(START).split()
        presser = Program(stack, "pages_ends", "press", *address)
        presser.line(START)
        server.tell(f"{SMALL_RATE * 3600} {SMALL_RATE}")
        presser.answer(str(turn // 10 + 1))  # a first call imports modules
        for number in range(2 * turns):
            progress("beside a page that is stopped", number, 2 * turns)
            with contextlib.ExitStack() as other:
                if number % 2:
                    page = Program(other, "pages_ends", "show", *address)
                    page.line(START)
                    other.enter_context(page.stopped())
                found = presser.answer(str(turn), START + turn)
                taken[number % 2].extend(each if each >= 0 else 1e4 for each in found)
    words = f"page, p95, {SMALL_RATE} changes a second"
    yield from programs.report_beside("pages", words, *taken)


def figures(folder: str) -> Iterator[Figure]:
    seconds = amount("SECONDS", 20)
    taken: dict[int, Taken] = {}
    for number, count in enumerate(PAGES):
        progress(f"{count} pages", number, len(PAGES))
        one = taken[count] = with_pages(count, seconds)
        yield Figure("pages", f"kju web's CPU, {count} pages", 100 * one.cpu, "% of a core", None,
                     "", f"{one.each / 1000:.0f} kB/s in {one.messages:.0f} messages to each; load"
                     f" {os.getloadavg()[0]:.1f}")  # fmt: skip
        yield Figure("pages", f"memory while a page reads nothing, {count} pages",
                     one.grown / 1000, "kB", 2000, "", f"grown in {seconds:g} s")  # fmt: skip
    few, many = taken[PAGES[0]], taken[PAGES[-1]]
    yield Figure("pages", f"kju web's CPU, {PAGES[-1]} pages to 1", many.cpu / few.cpu, "x", 2.0,
                 "", f"{few.messages:.0f} and {many.messages:.0f} messages a second")  # fmt: skip
    each = (many.memory - few.memory) / (PAGES[-1] - PAGES[0])
    yield Figure("pages", "memory for each page", each / 1000, "kB", 76, "")
    changes = int(amount("PUBLICATIONS", PUBLICATIONS))
    for number, rate in enumerate(RATES):
        progress(f"pages: {changes:,} publications, {rate:g} a second at most", number, len(RATES))
        yield from publications(changes, rate)
    yield from beside()
