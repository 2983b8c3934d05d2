"""An X server's whole screen in NumPy, compared with the screenshot libraries of X programs.

All read one Xvfb of kju's, once still and once drawing, alternately with kju and one at a time:
after the others, the state of the allocator makes mss up to four times slower. Each is used as in
its manual; fastgrab and mss use MIT-SHM, and xwd is a program that is started for each picture.

Of a still screen kju makes one copy and mss 10 two, the server's and its own: no method of copying
is five times as fast as that. A program that requests a picture from a server also waits while it
draws.
"""

from __future__ import annotations

import contextlib
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
#: Required ratio to the faster of these two.
PEERS = ("mss", "fastgrab")
LEAST = 5
#: Paints the whole screen repeatedly, in steps that cost the server time.
_DRAW = "while :; do xsetroot -solid '#204060'; xsetroot -solid '#604020'; sleep 0.05; done"

Grab = Callable[[], object]


def peers(display: str) -> Iterator[tuple[str, Grab]]:
    """Yield the installed peers, each with a function that takes a picture."""
    if importlib.util.find_spec("mss"):
        import mss

        grabber = mss.MSS(display=display) if hasattr(mss, "MSS") else mss.mss(display=display)
        monitor = grabber.monitors[0]
        yield "mss", lambda: np.asarray(grabber.grab(monitor))
    if importlib.util.find_spec("fastgrab"):
        from fastgrab import screenshot

        os.environ["DISPLAY"] = display  # it has no argument for the display
        yield "fastgrab", screenshot.Screenshot(backend="x11").capture
    if shutil.which("xwd"):
        yield "xwd", lambda: _xwd(display)


def _xwd(display: str) -> np.ndarray:
    command = ["xwd", "-root", "-silent", "-display", display]
    data = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, np.uint8)
    return data[-WIDTH * HEIGHT * 4 :].reshape(HEIGHT, WIDTH, 4)


def agree(display: str, taken: dict[str, Grab]) -> None:
    """Check that all get the same picture, and that it is not empty."""
    command = ["xsetroot", "-display", display, "-solid", "#a0b0c0"]
    subprocess.run(command, check=True)
    for name, grab in taken.items():
        seen = np.asarray(grab())[..., :3]
        if seen.shape != (HEIGHT, WIDTH, 3) or not (seen == [0xC0, 0xB0, 0xA0]).all():
            raise SystemExit(f"{name} does not see what is on the screen")


def measure(state: str, ours: dict[str, Grab], theirs: dict[str, Grab]) -> Iterator[Figure]:
    rounds = int(amount("ROUNDS", ROUNDS))
    what = f"{state} Xvfb {WIDTH}x{HEIGHT} into NumPy"
    against: dict[str, dict[str, list[float]]] = {}
    for name, grab in theirs.items():
        progress(f"xvfb: {state}, {name}", len(against), len(theirs))
        taken = in_turns(*ours.values(), grab, rounds=rounds)
        against[name] = dict(zip((*ours, name), taken, strict=True))
        seconds = statistics.median(against[name][name])
        yield Figure("xvfb", f"{what}: {name}", 1 / seconds, "/s", None, "", micro(seconds))
    there = [name for name in PEERS if name in against]
    if not there:
        return
    best = min(there, key=lambda name: statistics.median(against[name][name]))
    taken_there = against[best]
    for way in ours:
        times = ratio(taken_there[best], taken_there[way])
        yield Figure("xvfb", f"{what}, times as fast as the better of {', '.join(there)}: {way}",
                     times, "x", None, best, micro(statistics.median(taken_there[way])),
                     LEAST)  # fmt: skip


def figures(folder: str) -> Iterator[Figure]:
    if not shutil.which("Xvfb") or not shutil.which("xsetroot"):
        return
    size = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    with kju.launch(name="kju-bench-xvfb", xvfb=True, args=size) as machine:
        display = machine.info()["xvfb"]["display"]
        screen = machine.screen
        ours: dict[str, Grab] = {
            "kju, a copy": lambda: screen.frame(pixels="bgrx"),
            "kju, no copy": lambda: screen.view(live=True),
        }
        theirs = dict(peers(display))
        agree(display, ours | theirs)
        yield from measure("still", ours, theirs)
        with drawing(display):
            yield from measure("drawing", ours, theirs)


@contextlib.contextmanager
def drawing(display: str) -> Iterator[None]:
    draw = subprocess.Popen(
        ["sh", "-c", _DRAW], env=os.environ | {"DISPLAY": display}, process_group=0
    )
    try:
        time.sleep(0.3)
        yield
    finally:
        os.killpg(draw.pid, 15)
        draw.wait()
