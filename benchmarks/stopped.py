"""A stopped viewer (SIGSTOP): the sender's memory, the effect on other viewers, the recovery."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO

from kju.cli.demo.link import End, Shape, SimulatedLink
from kju.wire import messages

from . import guests, rig
from .cpu import MIB
from .far import PORT, pressed, served
from .far_viewer import PATIENCE
from .measure import Figure, amount, own_memory, percentile, progress
from .wire import Session

LINK = Shape(20e6, 0.010)
#: Presses of one turn. The sender drops a stopped viewer after its lease of four seconds; a
#: turn of 20 takes ten, so that it covers the time before and after.
TURN = 20
PUBLICATIONS = 1_000_000
#: Maximum rates. Without one, all is sent before the sender drops the viewer; at the low rate the
#: sender drops it early, and the viewer must reconnect.
RATES = (1e9, 30_000)
#: Publications before the measurement: the sender has allocated its own memory by then.
WARM = 40_000
#: Limits: growth of the sender, bytes; delay of the others, ratio; seconds until it is equal.
MEMORY, BESIDE, EQUAL = 2, 1.05, 1.0


# ---- beside a stopped one ----


@contextlib.contextmanager
def asleep(end: End, address: str, place: str) -> Iterator[None]:
    """Stop a viewer at this end that has a picture."""
    words = [sys.executable, "-m", "benchmarks.far_viewer", "idle", address, place, "0"]
    with subprocess.Popen([*end.before, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            os.kill(process.pid, signal.SIGSTOP)
            yield
        finally:
            process.kill()


def beside(folder: str) -> Iterator[Figure]:
    """Measure a viewer's key to pixel, alone and with a stopped viewer, alternately."""
    count = int(amount("PRESSES", 200))
    arguments = guests.measured("VGA", via="vram", mode="still", size="1280x800")
    taken: tuple[list[float], list[float]] = ([], [])
    with (
        SimulatedLink(LINK) as link,
        rig.of_kju(folder, arguments, "kju-bench-stopped") as ours,
        served(ours.name, link.one) as (address, place),
    ):
        ours.line.tell("still")
        rounds = max(1, round(count / TURN))
        for number in range(2 * rounds):
            progress("beside a viewer that is stopped", number, 2 * rounds)
            with asleep(link.other, address, place) if number % 2 else contextlib.nullcontext():
                words = ("kju", address, place, str(-(-count // rounds)))
                for each in pressed(link.other, *words):
                    taken[number % 2].append(each if each >= 0 else 1000 * PATIENCE)
    alone, other = (percentile(each, 0.95) for each in taken)
    medians = " against ".join(f"{statistics.median(each):.1f}" for each in reversed(taken))
    yield Figure("stopped", f"key to pixel beside a stopped viewer, p95, {LINK.words}",
                 other / alone, "x", BESIDE, "without it",
                 f"{other:.1f} against {alone:.1f} ms; p50 {medians} ms; {len(taken[0])} presses"
                 f" each; load {os.getloadavg()[0]:.1f}")  # fmt: skip


# ---- a million publications ----


class Process:
    """One side of far_ticker.py."""

    def __init__(self, stack: contextlib.ExitStack, end: End, what: str, place: str) -> None:
        words = [*end.before, sys.executable, "-m", "benchmarks.far_ticker", what, place]
        self._process = stack.enter_context(
            subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        stack.callback(self._process.kill)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in: IO[bytes] = self._process.stdin
        self._out: IO[bytes] = self._process.stdout
        self._unread = b""
        self.pid = self._process.pid

    def say(self, line: str) -> None:
        self._in.write(line.encode() + b"\n")
        self._in.flush()

    def hear(self, seconds: float) -> str:
        """Return the next line; empty after the time limit."""
        end = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = end - time.monotonic()
            if left < 0 or not select.select([self._out], [], [], left)[0]:
                return ""
            self._unread += os.read(self._out.fileno(), 1 << 16)
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def equal(self, checksum: int, seconds: float) -> float:
        """Return the time at which it showed the picture with this checksum.

        Raises:
            TimeoutError: It did not show it in time.
        """
        end = time.monotonic() + seconds
        while line := self.hear(end - time.monotonic()):
            at, seen = json.loads(line)
            if seen == checksum:
                return float(at)
        raise TimeoutError("the viewer does not show what the sender does")


def publications(count: int, rate: float) -> Iterator[Figure]:
    """Measure a viewer that is stopped during publications."""
    with SimulatedLink(LINK) as link, contextlib.ExitStack() as stack:
        place = f"tcp/{link.one.address}:{PORT + 2}"
        sender = Process(stack, link.one, "serve", place)
        sender.hear(20)
        viewer = Process(stack, link.other, "view", place)
        sender.say(f"{WARM} 1e9")
        viewer.equal(json.loads(sender.hear(120))["checksum"], 20)
        os.kill(viewer.pid, signal.SIGSTOP)
        before = own_memory(sender.pid)
        sender.say(f"{count} {rate}")
        most, line = before, ""
        while not line:
            line = sender.hear(1)
            most = max(most, own_memory(sender.pid))
        said = json.loads(line)
        woken = time.monotonic()
        os.kill(viewer.pid, signal.SIGCONT)
        took = viewer.equal(said["checksum"], 60) - woken
    known = "still knew" if said["viewers"] else "had forgotten"
    many = f"{count:,} publications in {said['seconds']:.0f} s"
    words = f"the sender {known} the viewer; load {os.getloadavg()[0]:.1f}"
    yield Figure("stopped", f"the sender's memory with a stopped viewer, {many}",
                 (most - before) / MIB, "MiB more", MEMORY, "",
                 f"{before / MIB:.1f} MiB (USS) before, {words}")  # fmt: skip
    yield Figure("stopped", f"the same: seconds from its waking until it is equal, {many}",
                 took, "s", EQUAL, "", words)  # fmt: skip


def unheard(count: int) -> Iterator[Figure]:
    """Measure a viewer that is never dropped: the wire alone, without a reader."""
    session = Session()
    session.settle()
    pixels, now, sent = session.screen.pixels, 100.0, 0
    pid, before, most = os.getpid(), 0, 0
    for number in range(count):
        x, y = 16 * (number % 80), 16 * (number // 80 % 50)
        session.screen.begin()
        pixels[y : y + 16, x : x + 16, :3] = (number & 255, number >> 8 & 255, 128)
        session.screen.publish([(x, y, 16, 16)])
        now += 1 / 33
        while message := session._sender.next_message(now):
            sent += len(messages.encode(message))
            if isinstance(message, messages.Ping):
                break
        if number % 10_000 == 0:
            progress("a viewer that is never forgotten", number, count)
            before = before or (own_memory(pid) if number else 0)
            most = max(most, own_memory(pid) if number else 0)
    yield Figure("stopped", f"the same of one that is never forgotten, {count:,} publications",
                 (most - before) / MIB, "MiB more", MEMORY, "",
                 f"the wire alone; {sent / 1000:.0f} kB said in {count / 33 / 3600:.1f} hours of"
                 " its clock")  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    count = int(amount("PUBLICATIONS", PUBLICATIONS))
    for number, rate in enumerate(RATES):
        progress(f"stopped: {count:,} publications, {rate:g} a second at most", number, 2)
        yield from publications(count, rate)
    yield from unheard(count)
    yield from beside(folder)
