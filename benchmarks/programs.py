"""Programs of a benchmark that take lines and print lines, and the cost of one that is stopped."""

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
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

from .measure import Figure, own_memory, percentile

MIB = 1 << 20
#: Seconds until a program has started, and until it has published the first changes.
START, WARMED = 60.0, 300.0
PUBLICATIONS = 1_000_000
#: Publications before the measurement: the sender has allocated its own memory by then.
WARM = 40_000
#: Maximum rates. Without one, all is sent before the sender drops the viewer; at the low rate the
#: sender drops it early, and the viewer must reconnect.
RATES = (1e9, 30_000)
#: Limits: growth of the sender, MiB; delay of the others, ratio; seconds until it is equal.
MEMORY, BESIDE, EQUAL = 2, 1.05, 1.0


class Program:
    """A module of `benchmarks`, in a process that ends with the stack.

    Args:
        stack: Ends the process.
        words: The module's name, and its arguments.
        before: Words before the command.

    Attributes:
        pid: The process.
    """

    def __init__(
        self, stack: contextlib.ExitStack, *words: str, before: Sequence[str] = ()
    ) -> None:
        module, *arguments = words
        command = [*before, sys.executable, "-m", f"benchmarks.{module}", *arguments]
        pipe = subprocess.PIPE
        process = stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe))
        stack.callback(process.kill)
        assert process.stdin is not None
        assert process.stdout is not None
        self._in: IO[bytes] = process.stdin
        self._out: IO[bytes] = process.stdout
        self._words, self._unread = " ".join(words), b""
        self.pid = process.pid

    def tell(self, line: str = "") -> None:
        """Send a line."""
        self._in.write(line.encode() + b"\n")
        self._in.flush()

    def line(self, seconds: float) -> str:
        """Return the next line; empty after the time limit.

        Raises:
            RuntimeError: The program has ended.
        """
        end = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = end - time.monotonic()
            if left < 0 or not select.select([self._out], [], [], left)[0]:
                return ""
            if not (data := os.read(self._out.fileno(), 1 << 16)):
                raise RuntimeError(f"{self._words} has ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def answer(self, line: str = "", seconds: float = START) -> Any:
        """Send a line, and return the JSON of the answer.

        Raises:
            TimeoutError: There was none.
        """
        self.tell(line)
        if not (found := self.line(seconds)):
            raise TimeoutError(f"{self._words} does not answer {line!r}")
        return json.loads(found)

    def equal(self, checksum: int, seconds: float) -> float:
        """Return the time at which it showed the picture with this checksum.

        Raises:
            TimeoutError: It did not show it in time.
        """
        end = time.monotonic() + seconds
        while line := self.line(end - time.monotonic()):
            at, seen = json.loads(line)
            if seen == checksum:
                return float(at)
        raise TimeoutError(f"{self._words} does not show the sender's picture")

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop the process (SIGSTOP) during the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)


class Publications(NamedTuple):
    """A sender's publications beside a stopped viewer.

    Attributes:
        seconds: Their duration.
        before: The sender's USS before, bytes.
        most: Its most during and after them.
        known: The sender still knew the viewer after them.
        recovery: Seconds from the viewer's waking until it showed the sender's picture.
    """

    seconds: float
    before: int
    most: int
    known: bool
    recovery: float


def publications(sender: Program, viewer: Program, count: int, rate: float) -> Publications:
    """Stop a viewer while a sender publishes: see far_ticker.py for their lines."""
    viewer.equal(sender.answer(f"{WARM} 1e9", WARMED)["checksum"], START)
    with viewer.stopped():
        before = own_memory(sender.pid)
        sender.tell(f"{count} {rate}")
        most, line = before, ""
        while not line:
            line = sender.line(1)
            most = max(most, own_memory(sender.pid))
        said, woken = json.loads(line), time.monotonic()
    recovery = viewer.equal(said["checksum"], START) - woken
    return Publications(said["seconds"], before, most, said["viewers"] > 0, recovery)


def report(group: str, who: str, count: int, taken: Publications) -> Iterator[Figure]:
    """Report the publications beside a stopped *who*, such as a page."""
    known = "still knew" if taken.known else "had forgotten"
    many = f"{count:,} publications in {taken.seconds:.0f} s"
    words = f"the sender {known} the {who}; load {os.getloadavg()[0]:.1f}"
    yield Figure(group, f"the sender's memory with a stopped {who}, {many}",
                 (taken.most - taken.before) / MIB, "MiB more", MEMORY, "",
                 f"{taken.before / MIB:.1f} MiB (USS) before, {words}")  # fmt: skip
    yield Figure(group, f"the same: seconds from its waking until it is equal, {many}",
                 taken.recovery, "s", EQUAL, "", words)  # fmt: skip


def report_beside(
    group: str, what: str, alone: list[float], other: list[float]
) -> Iterator[Figure]:
    """Report a viewer's times from key to pixel, ms, without and with a stopped viewer."""
    a, b = percentile(alone, 0.95), percentile(other, 0.95)
    medians = f"{statistics.median(other):.2f} against {statistics.median(alone):.2f}"
    yield Figure(group, f"key to pixel beside a stopped {what}", b / a, "x", BESIDE, "without it",
                 f"{b:.2f} against {a:.2f} ms; p50 {medians} ms; {len(alone)} presses each; load"
                 f" {os.getloadavg()[0]:.1f}")  # fmt: skip
