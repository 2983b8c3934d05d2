"""Lockstep: the share of equal frames in runs of equal actions from one snapshot.

A game moves by itself and takes keys. Each run loads the snapshot and does the same steps. A frame
is compared with the first run's frame of the same step. QEMU runs without and with ``-icount``, and
a step lasts a time, or until the game has drawn.
"""

from __future__ import annotations

import statistics
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import kju
from kju.gym import ChordActions, Env, Lockstep, Stepping, UntilChanged

from .guests import INVADERS
from .measure import Figure, amount, progress

RUNS, STEPS, SECONDS = 20, 100, 0.02
KEYS = ChordActions("", "left", "right", "spc")
TIMED = f"steps of {1000 * SECONDS:g} ms"
#: The title of each configuration, its steps, and QEMU's arguments.
CONFIGURATIONS: dict[str, tuple[Stepping, list[str]]] = {
    f"{TIMED}, without -icount": (Lockstep(SECONDS), []),
    f"{TIMED}, -icount shift=7": (Lockstep(SECONDS), ["-icount", "shift=7"]),
    f"{TIMED}, -icount shift=7,sleep=off": (Lockstep(SECONDS), ["-icount", "shift=7,sleep=off"]),
    "a picture each step, without -icount": (UntilChanged(), []),
}


def has_ship(frame: np.ndarray) -> bool:
    """Return whether the game has begun: its ship is neither grey nor green, as other texts are."""
    red, green, blue = (np.asarray(frame)[..., channel] > 100 for channel in range(3))
    return bool((blue & red & ~green).any())


def runs(folder: Path, stepping: Stepping, arguments: list[str], title: str) -> list[list[int]]:
    """Return a checksum of each frame of each run, the frame of the reset first."""
    disk = folder / "scratch.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1M"], check=True)
    words = ["-accel", "tcg", "-m", "64", "-vga", "std", "-nic", "none", "-kernel", INVADERS,
             "-drive", f"if=ide,format=qcow2,file={disk}", *arguments]  # fmt: skip
    count = int(amount("RUNS", RUNS))
    plan = np.random.default_rng(1).integers(0, 4, STEPS)
    sums: list[list[int]] = []
    with kju.launch(name="kju-lockstep", args=words) as machine:
        machine.screen.wait_for(has_ship, timeout=120)
        machine.pause()
        machine.snapshots.save("begin", timeout=120)
        with Env(machine, actions=KEYS, stepping=stepping, reset="begin") as env:
            for number in range(count):
                progress(f"lockstep: {title}", number, count)
                first, _ = env.reset()
                frames = [first, *(env.step(int(action))[0] for action in plan)]
                sums.append([zlib.crc32(frame.data) for frame in frames])
        disk.unlink()
    return sums


def figures(folder: str) -> Iterator[Figure]:
    for title, (stepping, arguments) in CONFIGURATIONS.items():
        sums = runs(Path(folder), stepping, arguments, title)
        first, rest = sums[0], sums[1:]
        same = [[a == b for a, b in zip(first, run, strict=True)] for run in rest]
        share = statistics.mean(statistics.mean(run[1:]) for run in same)
        resets = statistics.mean(run[0] for run in same)
        apart = [run.index(False) if False in run else len(run) for run in same]
        distinct = len(set(first))
        yield Figure("lockstep", f"equal frames, {title}", 100 * share, "%", None, "the first run",
                     f"{len(sums)} runs of {STEPS} steps; first difference"
                     f" at step {statistics.median(apart):g} (median); {100 * resets:.0f} % equal"
                     f" after the reset; {distinct} different frames in a run")  # fmt: skip
