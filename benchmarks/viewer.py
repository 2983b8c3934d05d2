"""One viewer in its own process: python -m benchmarks.viewer WAY TASK PLACE, words as JSON.

It prints ``ready NUMBER`` when it has a picture, where NUMBER is the guest's counter, and works
until SIGTERM; then it prints the name of the file with its results. A line ``down`` or ``up`` on
its input makes it press or release the key, as its users do; it answers ``pressed TIME``.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .peers import WAYS, Place, Viewer, open_viewer

#: Places of the stamps: see tools/guests/README.md.
KEY = (64, 63)
SELF = (0, 191)

Seen = dict[str, Any]


class Stopped(Exception):
    """The program that started this viewer has ended it."""


def stamp(pixels: np.ndarray, place: tuple[int, int]) -> tuple[int, int]:
    """Return the counter and the time in four pixels; time 0 if the reading met the store."""
    x, y = place
    # One copy, because the guest or kju may write at the same time.
    low, middle, high, counter = (
        int.from_bytes(four[:3], "little") for four in pixels[y, x : x + 4].tolist()
    )
    if high >> 16 != counter & 0xFF:
        return counter, 0
    return counter, low | middle << 24 | (high & 0xFFFF) << 48


def watch(viewer: Viewer, task: dict[str, Any], seen: Seen) -> None:
    """Record the time of each new number, and the number of wake-ups."""
    place = (int(task["x"]), int(task["y"]))
    pause = 1 / task["rate"] if task.get("rate") else 0
    last, wakes = stamp(viewer.look(), place)[0], 0
    samples = seen["samples"] = []
    due = time.monotonic()
    while True:
        viewer.wait()
        wakes += 1
        counter, ticks = stamp(viewer.look(), place)
        if counter != last:
            samples.append((counter, time.monotonic_ns(), ticks, wakes))
            last, wakes = counter, 0
        seen["wakes"] += 1
        if pause:
            due = max(due + pause, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))


def screens(viewer: Viewer, task: dict[str, Any], seen: Seen) -> None:
    """Take whole pictures in sequence, and count the different ones."""
    last = None
    seen["screens"] = seen["distinct"] = 0
    while True:
        picture = viewer.grab()
        seen["screens"] += 1
        frame = bytes(picture[8, 8, :3])
        if frame != last:
            last = frame
            seen["distinct"] += 1


def frames(viewer: Viewer, task: dict[str, Any], seen: Seen) -> None:
    """Wait for changes, and count the guest's frames that were received."""
    last = None
    seen["distinct"] = 0
    while True:
        viewer.wait()
        seen["wakes"] += 1
        frame = bytes(viewer.look()[8, 8, :3])
        if frame != last:
            last = frame
            seen["distinct"] += 1


TASKS: dict[str, Callable[[Viewer, dict[str, Any], Seen], None]] = {
    "watch": watch,
    "screens": screens,
    "frames": frames,
}


def _work(way: str, task: dict[str, Any], place: Place) -> None:
    viewer = open_viewer(way, place)
    seen: Seen = {"wakes": 0}
    try:
        number, _ = stamp(viewer.look(), (int(task["x"]), int(task["y"])))
        threading.Thread(target=_press, args=(viewer,), daemon=True).start()
        os.write(1, b"ready %d\n" % number)
        used, start = _cpu(), time.monotonic()
        TASKS[task["do"]](viewer, task, seen)
    except Stopped:
        pass
    seen["cpu"], seen["seconds"] = _cpu() - used, time.monotonic() - start
    # The members of a crowd share the pipe, in which only short writes are atomic.
    report = Path(place["folder"]) / f"seen-{os.getpid()}"
    report.write_text(json.dumps(seen))
    os.write(1, b"%s\n" % str(report).encode())


def _press(viewer: Any) -> None:
    """Press or release the key on each command."""
    for line in sys.stdin:
        at = time.monotonic_ns()
        viewer.key(line == "down\n")
        os.write(1, b"pressed %d\n" % at)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    def stop(*_: object) -> None:
        raise Stopped

    way, task, place = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    for _ in range(int(task.get("crowd", 1)) - 1):
        # The members of a crowd share imported modules; each waits, reads and counts by itself.
        if os.fork() == 0:
            break
    signal.signal(signal.SIGTERM, stop)
    _work(way, task, place)
    os._exit(0)  # remaining threads of some libraries must not delay the end


# ---- for the measuring program


class Running:
    """Started viewers: `ready` has the counters before, `seen` the results after `stop`."""

    def __init__(self, way: str, task: dict[str, Any], place: Place) -> None:
        self._crowd = int(task.get("crowd", 1))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.viewer", way, json.dumps(task), json.dumps(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )
        self._unread = b""
        # All members of a crowd have the same counter before the first key.
        self.number, *_ = (int(self._line(60).split()[1]) for _ in range(self._crowd))

    def _line(self, seconds: float) -> str:
        assert self.process.stdout is not None
        end = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = max(0.0, end - time.monotonic())
            ready, _, _ = select.select([self.process.stdout], [], [], left)
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                raise RuntimeError("the viewer ended, or said nothing in time")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def key(self, down: bool) -> int:
        """Make the viewer press or release the key; return the time before."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"down\n" if down else b"up\n")
        self.process.stdin.flush()
        return int(self._line(20).split()[1])

    def stop(self) -> list[Seen]:
        os.killpg(self.process.pid, signal.SIGTERM)
        return [json.loads(Path(self._line(20)).read_text()) for _ in range(self._crowd)]

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


@contextmanager
def viewing(way: str, place: Place, do: str = "watch", **task: Any) -> Iterator[Running]:
    """Run a viewer during the block."""
    words = {"do": do, "x": KEY[0], "y": KEY[1], **task}
    with ExitStack() as stack:
        running = Running(way, words, place)
        stack.callback(running.kill)
        yield running


def missing(way: str) -> str:
    """Return the missing packages of a viewer; empty if it can be measured."""
    from importlib.util import find_spec

    needs = WAYS[way].needs
    return needs if needs and find_spec(needs) is None else ""


if __name__ == "__main__":
    main()
