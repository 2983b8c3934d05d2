"""Pages of one screen: the CPU and memory of the server of `kju web`, and a page that stops.

A screen of 1280x800 moves everywhere (far_screen.py), the worst case: each picture is encoded once,
for all pages. The pages acknowledge and do not draw (pages_ends.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from .measure import Figure, amount, cpu_seconds, progress, written_memory

PAGES = (1, 50)
#: Pictures a second.
RATE = 10.0


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


def started(stack: contextlib.ExitStack, *words: str) -> tuple[subprocess.Popen[str], str]:
    """Start an end; return it with its first line."""
    command = [sys.executable, "-m", "benchmarks.pages_ends", *words]
    pipe = subprocess.PIPE
    process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
    stack.callback(process.kill)
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"{' '.join(command)} ended")
    return process, line


def asked(process: subprocess.Popen[str], line: str = "") -> dict[str, list[int]]:
    assert process.stdin is not None
    assert process.stdout is not None
    print(line, file=process.stdin, flush=True)
    return dict(json.loads(process.stdout.readline()))


def with_pages(count: int, seconds: float) -> Taken:
    with contextlib.ExitStack() as stack:
        server, line = started(stack, "serve", str(amount("RATE", RATE)))
        pages, _ = started(stack, "view", *line.split(), str(count))
        time.sleep(2)  # for the first pictures
        before, cpu, at = asked(pages), cpu_seconds(server.pid), time.monotonic()
        time.sleep(seconds)
        after, used, took = asked(pages), cpu_seconds(server.pid) - cpu, time.monotonic() - at
        memory = written_memory(server.pid)
        asked(pages, "stop")
        time.sleep(2)
        stopped = written_memory(server.pid)
        time.sleep(seconds)
        grown = written_memory(server.pid) - stopped
        rates = {
            what: sum(b - a for a, b in zip(before[what], after[what], strict=True)) / count / took
            for what in ("messages", "bytes")
        }
        return Taken(used / took, memory, rates["messages"], rates["bytes"], grown)


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
