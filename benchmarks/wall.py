"""A wall of thumbnails: CPU of the program, the hosts and the QEMUs, beside as many VNC viewers.

The machines have no guest: their CPUs are stopped, and another process writes their video memory,
so all CPU time is the display's (see shown.py). In a moving screen a quarter, rows of its whole
width, changes ten times a second. The time of hosts and QEMUs is the difference to the same time
without a wall. The VNC viewers are the cheapest possible: raw pixels, read and stored.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import kju
from kju.desktop.wall.tile_follower import STILL_RATES

from .measure import Figure, amount, progress
from .peers.vnc import Vnc
from .shown import SIZE, Shown, shown

WIDTH, HEIGHT = 1280, 800
MOST, HALF = 64, 32
#: Pictures that each machine draws per second, and the rows that change: a quarter.
DRAWN = 10.0
TOP, ROWS = 300, HEIGHT // 4
#: Different pictures. Each look must find another one than the look before, half a second earlier.
PICTURES = 7
#: Lines of text in the rows that change.
LINES = 12
#: Machines that start at the same time.
STARTS = 4
#: Seconds for all first pictures, and for the end of the measured program.
READY, END = 60.0, 10.0
#: Required ratio to the VNC viewers.
LEAST = 20
_VRAM = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) rw.*vga\.vram", re.MULTILINE)


class Machine(NamedTuple):
    """One machine, and the place of its video memory."""

    machine: kju.Machine
    pid: int
    address: int


@contextlib.contextmanager
def machines(folder: str, count: int) -> Iterator[list[Machine]]:
    """Run machines without guests in a mode of 1280x800."""
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(STARTS) as pool:

        def start(number: int) -> Machine:
            made = begin(folder, number)
            stack.callback(made.machine.close)
            progress(f"{count} machines start", number, count)
            return made

        yield list(pool.map(start, range(count)))


def begin(folder: str, number: int) -> Machine:
    here = Path(tempfile.mkdtemp(dir=folder))
    return video_memory(kju.launch(name=f"kju-wall-{number}", args=without_guest(here)), here)


def without_guest(here: Path) -> list[str]:
    """Return QEMU's arguments for a machine whose CPUs are stopped; its socket is in a folder."""
    return ["-machine", "pc", "-accel", "tcg", "-m", "16", "-S",
            "-qtest", f"unix:{here}/test,server=on,wait=off", "-qtest-log", "/dev/null",
            "-vga", "none", "-device", f"VGA,addr=2,vgamem_mb={SIZE >> 20}"]  # fmt: skip


def video_memory(machine: kju.Machine, here: Path) -> Machine:
    """Set the mode of a machine; return it with the place of its video memory."""
    pid = int(machine.info()["qemu"]["pid"])
    Shown(here, pid, WIDTH, HEIGHT).close()  # sets the mode
    found = _VRAM.search(Path(f"/proc/{pid}/maps").read_text())
    if found is None:
        raise RuntimeError("QEMU does not share its video memory")
    return Machine(machine, pid, int(found[1], 16))


@contextlib.contextmanager
def drawing(chosen: Sequence[Machine], *, text: bool = False) -> Iterator[None]:
    """Write the video memory of machines in another process: noise, or lines of text."""
    places = [f"{each.pid}:{each.address}" for each in chosen]
    words = [sys.executable, "-m", "benchmarks.wall", "text" if text else "draw", *places]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


def draw(places: Sequence[str], *, text: bool = False) -> None:
    """Write pictures in turn to each memory until killed."""
    drawn = texts() if text else pictures()
    memories = []
    for place in places:
        pid, _, start = place.partition(":")
        memories.append((os.open(f"/proc/{pid}/mem", os.O_RDWR), int(start)))
    print("ready", flush=True)
    turn = 0
    while True:
        due = time.monotonic() + 1 / DRAWN
        turn += 1
        for memory, address in memories:
            os.pwrite(memory, drawn[turn % PICTURES].data, address + TOP * WIDTH * 4)
        time.sleep(max(0.0, due - time.monotonic()))


def pictures() -> list[np.ndarray]:
    """Return the rows that change, in different pictures."""
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (ROWS, WIDTH, 4), np.uint8) for _ in range(PICTURES)]


def texts() -> list[np.ndarray]:
    """Return the rows that change as lines of a program's text, different ones in each."""
    lines = Path(__file__).read_text().splitlines()
    font, found = ImageFont.load_default(), []
    for first in range(0, PICTURES * LINES, LINES):
        image = Image.new("L", (WIDTH, ROWS))
        draw = ImageDraw.Draw(image)
        for number, line in enumerate(lines[first : first + LINES]):
            draw.text((0, number * ROWS // LINES), line * 2, fill=200, font=font)
        found.append(np.repeat(np.asarray(image)[..., None], 4, axis=2))
    return found


class Used(NamedTuple):
    """Percent of a core: the program's, the hosts', the QEMUs'."""

    program: float
    hosts: float
    qemus: float

    @property
    def total(self) -> float:
        return self.program + self.hosts + self.qemus

    def minus(self, other: Used) -> Used:
        return Used(self.program, self.hosts - other.hosts, self.qemus - other.qemus)

    def words(self) -> str:
        return f"program {self.program:.1f} %, hosts {self.hosts:+.1f} %, QEMUs {self.qemus:+.1f} %"


def used(pids: tuple[list[int], list[int], list[int]], seconds: float) -> Used:
    """Measure a window, from now on."""

    def read() -> list[float]:
        return [sum(map(Shown.cpu_of, group)) for group in pids]

    before, start = read(), time.monotonic()
    time.sleep(seconds)
    after, took = read(), time.monotonic() - start
    return Used(*(100 * (b - a) / took for a, b in zip(before, after, strict=True)))


class Wall:
    """The measured program: the thumbnails of machines, all visible."""

    def __init__(self, names: Sequence[str]) -> None:
        words = [sys.executable, "-m", "benchmarks.wall", "show", *names]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the wall did not get all pictures")
        self.pid = self._process.pid

    def close(self) -> dict[str, Any]:
        """End it; return the number of pictures and the seconds."""
        self._process.send_signal(signal.SIGTERM)
        answer, _ = self._process.communicate(timeout=END)
        return dict(json.loads(answer))


def show(names: Sequence[str]) -> None:
    """Show thumbnails until SIGTERM, then print their number."""
    from kju.desktop.wall.tiles import Tiles

    ready, ended = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    counts = dict.fromkeys(names, 0)

    def note(changed: frozenset[str]) -> None:
        for name in changed:
            counts[name] += tiles.tile(name).picture is not None
        if all(counts.values()):
            ready.set()

    tiles = Tiles(note)
    tiles.set_visible(names)
    tiles.set_machines(dict.fromkeys(names, True))
    if not ready.wait(READY):
        sys.exit("no pictures")
    print("ready", flush=True)
    began, before = time.monotonic(), sum(counts.values())
    ended.wait()
    shown_ = sum(counts.values()) - before
    print(json.dumps({"pictures": shown_, "seconds": time.monotonic() - began}), flush=True)
    tiles.close()


class Measured(NamedTuple):
    """One wall: what it adds, and the thumbnails it showed per second of each machine."""

    used: Used
    rate: float


def measured(chosen: Sequence[Machine], *, moving: bool, seconds: float) -> Measured:
    """Measure one wall; a still one after the time in which its looks become rarer."""
    hosts = [each.machine.host_pid for each in chosen]
    qemus = [each.pid for each in chosen]
    with drawing(chosen if moving else chosen[:0]):
        time.sleep(1.5)  # the consoles rest: the last viewer has left
        alone = used(([], hosts, qemus), seconds)
        wall = Wall([each.machine.name for each in chosen])
        time.sleep(2.0 if moving else max(since for since, _ in STILL_RATES) + 3.0)
        seen = used(([wall.pid], hosts, qemus), seconds)
        told = wall.close()
    rate = told["pictures"] / told["seconds"] / len(chosen)
    return Measured(seen.minus(alone), rate)


# ---- as many VNC viewers


def of_vnc(folder: str, count: int, seconds: float) -> Used:
    """Measure VNC viewers of as many QEMUs, in one program, which draw the same pictures."""
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(STARTS))

        def start(_: int) -> Shown:
            return stack.enter_context(shown(folder, WIDTH, HEIGHT))

        peers = list(pool.map(start, range(count)))
        over = threading.Event()
        drawn = pictures()

        def paint() -> None:
            turn = 0
            while not over.is_set():
                due = time.monotonic() + 1 / DRAWN
                turn += 1
                for peer in peers:
                    peer.paint(drawn[turn % PICTURES], TOP)
                over.wait(max(0.0, due - time.monotonic()))

        painter = threading.Thread(target=paint)
        painter.start()
        stack.callback(painter.join)
        stack.callback(over.set)
        pids = [peer.pid for peer in peers]
        alone = used(([], [], pids), seconds)
        folders = [str(peer.folder) for peer in peers]
        viewer = subprocess.Popen([sys.executable, "-m", "benchmarks.wall", "vnc", *folders],
                                  stdout=subprocess.PIPE)  # fmt: skip
        stack.callback(viewer.wait)
        stack.callback(viewer.kill)
        assert viewer.stdout is not None
        viewer.stdout.readline()
        time.sleep(2.0)
        return used(([viewer.pid], [], pids), seconds).minus(alone)


def view_vnc(folders: Sequence[str]) -> None:
    """Take all changes of VNC servers, in a thread each, until killed."""
    viewers = [Vnc({"folder": folder}, "raw") for folder in folders]

    def follow(viewer: Vnc) -> None:
        while True:
            viewer.wait()

    for viewer in viewers:
        threading.Thread(target=follow, args=(viewer,), daemon=True).start()
    print("ready", flush=True)
    signal.pause()


def figures(folder: str) -> Iterator[Figure]:
    seconds = amount("SECONDS", 10)
    count = int(amount("MACHINES", MOST))
    half = min(HALF, count)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with machines(folder, count) as started:
        walls = (
            ("32 moving thumbnails", started[:half], True, 10.0),
            ("64 moving thumbnails", started, True, 20.0),
            ("64 still thumbnails", started, False, 1.0),
        )
        taken = []
        for number, (what, chosen, moving, limit) in enumerate(walls):
            progress(what, number, len(walls))
            found = measured(chosen, moving=moving, seconds=seconds)
            taken.append(found)
            yield Figure("wall", f"{what}, 1280x800", found.used.total, "% of a core", limit, "",
                         f"{found.used.words()}; {found.rate:.2f} pictures a second of each"
                         f" of {len(chosen)}")  # fmt: skip
    progress("VNC viewers", 0, 1)
    vnc = of_vnc(folder, half, seconds)
    yield Figure("wall", f"{half} VNC viewers of the same pictures", vnc.total, "% of a core", None,
                 "QEMU's VNC, raw", vnc.words())  # fmt: skip
    yield Figure("wall", f"{half} VNC viewers, times the CPU of {half} thumbnails",
                 vnc.total / max(taken[0].used.total, 0.01), "x", None, "QEMU's VNC, raw", "",
                 LEAST)  # fmt: skip


if __name__ == "__main__":
    verb, words = sys.argv[1], sys.argv[2:]
    if verb in ("draw", "text"):
        draw(words, text=verb == "text")
    else:
        {"show": show, "vnc": view_vnc}[verb](words)
