"""An X server's whole screen into NumPy, against the ways that X programs have for it.

All look at one Xvfb of kju's, which draws meanwhile. Each peer is written as its manual has it;
fastgrab and mss use MIT-SHM, and xwd is a program that is started for every picture.

A copy of a picture costs a copy: kju makes one and mss 10 two, the server's and its own, so that no
way of copying can be five times as fast as mss. Looking without a copy is the way that is.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np

import kju

from .measure import Figure, amount, in_turns, micro, progress, ratio

WIDTH, HEIGHT = 1920, 1080
ROUNDS = 200
#: How many times faster than the better of these two.
PEERS = ("mss", "fastgrab")
LEAST = 5
WAYS = ("kju, a copy", "kju, no copy")
#: Paints the whole screen again and again, in steps that the server needs time for.
_DRAW = "while :; do xsetroot -solid '#204060'; xsetroot -solid '#604020'; sleep 0.05; done"

Grab = Callable[[], object]


def peers(display: str) -> Iterator[tuple[str, Grab]]:
    """The peers that are installed, and how each takes a picture."""
    if importlib.util.find_spec("mss"):
        import mss

        grabber = mss.MSS(display=display) if hasattr(mss, "MSS") else mss.mss(display=display)
        monitor = grabber.monitors[0]
        yield "mss", lambda: np.asarray(grabber.grab(monitor))
    if importlib.util.find_spec("fastgrab"):
        from fastgrab import screenshot

        os.environ["DISPLAY"] = display  # it asks for no display
        yield "fastgrab", screenshot.Screenshot(backend="x11").capture
    if shutil.which("xwd"):
        yield "xwd", lambda: _xwd(display)


def _xwd(display: str) -> np.ndarray:
    command = ["xwd", "-root", "-silent", "-display", display]
    data = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    return data[-WIDTH * HEIGHT * 4 :].reshape(HEIGHT, WIDTH, 4)


def agree(machine: kju.Machine, display: str, taken: dict[str, Grab]) -> None:
    """Insist that all see the same picture, and one that is not empty."""
    command = ["xsetroot", "-display", display, "-solid", "#a0b0c0"]
    subprocess.run(command, check=True)
    for name, grab in taken.items():
        seen = np.asarray(grab())[..., :3]
        if seen.shape != (HEIGHT, WIDTH, 3) or not (seen == [0xC0, 0xB0, 0xA0]).all():
            raise SystemExit(f"{name} does not see what is on the screen")


def report(taken: dict[str, list[float]]) -> Iterator[Figure]:
    middle = {name: statistics.median(times) for name, times in taken.items()}
    for name, seconds in middle.items():
        yield Figure("xvfb", f"Xvfb {WIDTH}x{HEIGHT} into NumPy: {name}", 1 / seconds, "/s",
                     None, "", micro(seconds))  # fmt: skip
    there = [name for name in PEERS if name in middle]
    for way in WAYS if there else ():
        best = min(there, key=lambda name: middle[name])
        times = ratio(taken[best], taken[way])
        yield Figure("xvfb", f"times as fast as the better of {' and '.join(there)}: {way}", times,
                     "x", None, best, f"{micro(middle[way])} against {micro(middle[best])}",
                     LEAST)  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    if not shutil.which("Xvfb") or not shutil.which("xsetroot"):
        return
    rounds = int(amount("ROUNDS", ROUNDS))
    progress("xvfb: whole screens", 0, 1)
    size = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    with kju.launch(name="kju-bench-xvfb", xvfb=True, args=size) as machine:
        display = machine.info()["xvfb"]["display"]
        screen = machine.screen
        ours: tuple[Grab, Grab] = (screen.snapshot, lambda: screen.view(live=True))
        ways = dict(zip(WAYS, ours, strict=True)) | dict(peers(display))
        agree(machine, display, ways)
        draw = subprocess.Popen(
            ["sh", "-c", _DRAW], env=os.environ | {"DISPLAY": display}, process_group=0
        )
        try:
            time.sleep(0.3)
            times = in_turns(*ways.values(), rounds=rounds)
        finally:
            os.killpg(draw.pid, 15)
            draw.wait()
    yield from report(dict(zip(ways, times, strict=True)))
