"""An audience behind one router: the bytes on the sender's link, and the router's CPU.

The sender is at one end of a link, the router and its viewers at the other. All viewers but one
only receive (far_audience.py): this measures the router, whose work is the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, NamedTuple

from kju.cli.demo.link import End, Shape, SimulatedLink

from .far import PORT
from .measure import Figure, amount, own_memory, progress
from .shown import Shown

LINK = Shape(20e6, 0.010)
VIEWERS = (1, 20, 100)
#: Frames per second of a screen that moves everywhere: most of its bytes are in few messages.
RATE = 5.0
#: For the calculation with 100,000 viewers in the documentation.
CROWD = 100_000


class Side:
    """A process at one end, after its first line of output."""

    def __init__(self, stack: contextlib.ExitStack, end: End, *words: str) -> None:
        process = stack.enter_context(
            subprocess.Popen([*end.before, sys.executable, *words], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        )  # fmt: skip
        stack.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[str] = process.stdin
        self._out: IO[str] = process.stdout
        self.pid = process.pid
        if not self._out.readline():
            raise RuntimeError(f"{' '.join(words)} ended")

    def ask(self) -> dict[str, list[int]]:
        print(file=self._in, flush=True)
        return dict(json.loads(self._out.readline()))


class Taken(NamedTuple):
    """Figures of one second.

    Attributes:
        out: Bytes that the sender's end sent.
        back: Bytes that it received.
        sender: CPU of the sender, seconds.
        router: CPU of the router, seconds.
        each: Bytes of messages that each viewer received.
        messages: Number of messages that each received.
        late: Maximum delay of any viewer behind another, of all messages.
        memory: Of the router, bytes.
    """

    out: float
    back: float
    sender: float
    router: float
    each: float
    messages: float
    late: float
    memory: int


def with_viewers(count: int, seconds: float) -> Taken:
    with SimulatedLink(LINK) as link, contextlib.ExitStack() as stack:
        place = f"tcp/{link.other.address}:{PORT + 3}"
        here, there = link.one, link.other
        words = ("-m", "kju.cli", "router", "--listen", place, "--insecure")
        router = Side(stack, there, *words)
        sender = Side(stack, here, "-m", "benchmarks.far_audience", "serve", place,
                      str(amount("RATE", RATE)))  # fmt: skip
        # One viewer more than counted: it decodes, the others do not.
        viewers = Side(stack, there, "-m", "benchmarks.far_audience", "view", place, str(count + 1))
        time.sleep(3)  # each new viewer causes the whole picture to be sent to all
        before = _now(link, sender, router), viewers.ask()
        time.sleep(seconds)
        after = _now(link, sender, router), viewers.ask()
        out, back, sender_cpu, router_cpu, took = (
            b - a for a, b in zip(before[0], after[0], strict=True)
        )
        sizes, messages = (
            [b - a for a, b in zip(before[1][what], after[1][what], strict=True)]
            for what in ("bytes", "messages")
        )
        late = 1 - min(messages) / max(1, *messages)
        return Taken(out / took, back / took, sender_cpu / took, router_cpu / took,
                     sum(sizes) / count / took, sum(messages) / count / took, late,
                     own_memory(router.pid))  # fmt: skip


def _now(link: SimulatedLink, sender: Side, router: Side) -> tuple[float, ...]:
    out, back = link.sent()
    return out, back, Shown.cpu_of(sender.pid), Shown.cpu_of(router.pid), time.monotonic()


def figures(folder: str) -> Iterator[Figure]:
    seconds = amount("SECONDS", 20)
    taken: dict[int, Taken] = {}
    for number, count in enumerate(VIEWERS):
        progress(f"an audience of {count}", number, len(VIEWERS))
        one = taken[count] = with_viewers(count, seconds)
        load = f"load {os.getloadavg()[0]:.1f}"
        yield Figure("audience", f"the sender's link, {count} viewers", one.out / 1000, "kB/s",
                     None, "", f"{one.back / 1000:.1f} kB/s back; the sender's CPU"
                     f" {one.sender:.1%} of a core; {load}")  # fmt: skip
        yield Figure("audience", f"the router's CPU, {count} viewers", 100 * one.router,
                     "% of a core", None, "", f"{one.each / 1000:.1f} kB/s in {one.messages:.0f}"
                     f" messages to each; the slowest lacks {one.late:.1%} of the messages of the"
                     f" fastest; its own memory {one.memory / 2**20:.0f} MiB")  # fmt: skip
    few, many = VIEWERS[0], VIEWERS[-1]
    least, most = taken[few], taken[many]
    each = (most.router - least.router) / (many - few)
    yield Figure("audience", "the router's CPU for each viewer more", 1e6 * each / most.messages,
                 "us a message", None, "", f"{100 * each:.3f} % of a core a viewer:"
                 f" {1 / each:,.0f} viewers to a core; {CROWD:,} need {CROWD * each:,.0f} cores of"
                 f" routers and {CROWD * most.each / 1e9:.1f} GB/s")  # fmt: skip
