"""Updates of a screen: programs on an X server, and computed pictures.

The programs are real ones and do the same in every run. Traces are not kept between runs: within a
run all peers get the same frames; those of another run may have slightly different times.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

import kju

from .measure import progress

WIDTH, HEIGHT = 1280, 800
#: Seconds from one update to the next: QEMU's own clock.
STEP = 0.030
#: Rows at most this far apart become one change.
NEAR = 8
NEEDED = ("Xvfb", "xterm", "openbox", "xdotool", "xclock", "xsetroot", "vim")
ROOT = Path(__file__).parent.parent
#: Fonts: antialiased, as in an editor, and not, as in a console.
SOFT = ("-fa", "Monospace", "-fs", "11")
HARD = ("-fn", "9x15")

Picture = np.ndarray
#: Whole rows from one row on.
Rows = tuple[int, Picture]


class Trace(NamedTuple):
    """A first picture, and the changes of each update.

    Attributes:
        first: ``(HEIGHT, WIDTH, 4)``.
        frames: The changed rows of each update.
        changed: Changed pixels of all updates.
    """

    name: str
    first: Picture
    frames: list[list[Rows]]
    changed: int

    def pictures(self) -> Iterator[tuple[list[Rows], Picture]]:
        """Yield each update's rows and the whole picture after it, always in the same array."""
        picture = self.first.copy()
        for rows in self.frames:
            for y, pixels in rows:
                picture[y : y + len(pixels)] = pixels
            yield rows, picture


def traced(name: str, pictures: Iterator[Picture]) -> Trace:
    """Return a trace of pictures, without those that change nothing."""
    first = np.array(next(pictures))
    before, frames, changed = first.copy(), [], 0
    for picture in pictures:
        differ = (picture[..., :3] != before[..., :3]).any(-1)
        rows = np.flatnonzero(differ.any(1))
        if not len(rows):
            continue
        changed += int(differ.sum())
        frame = []
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > NEAR) + 1):
            here = slice(int(run[0]), int(run[-1]) + 1)
            before[here] = picture[here]
            frame.append((here.start, picture[here].copy()))
        frames.append(frame)
    return Trace(name, first, frames, changed)


# ---- programs on an X server ----


class Desk:
    """An X server with a window manager, and actions on it."""

    def __init__(self, screen: kju.Screen, display: str, stack: contextlib.ExitStack) -> None:
        self._screen, self._stack = screen, stack
        self._environment = os.environ | {"DISPLAY": display, "LC_ALL": "C.UTF-8"}
        self.start("openbox", "--sm-disable")
        self.tell("xsetroot", "-mod", "16", "12", "-fg", "#506880", "-bg", "#304860")

    def start(self, *words: str, window: str = "") -> str:
        """Start a program; return the number of its window if it has a name."""
        process = subprocess.Popen(
            words, env=self._environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        if not window:
            return ""
        number = self.tell("xdotool", "search", "--sync", "--onlyvisible", "--name", window)
        return number.split()[0]

    def terminal(self, name: str, place: str, letters: tuple[str, ...], *command: str) -> str:
        words = ("xterm", "-T", name, "-geometry", place, *letters, "+sb", "-bg", "white",
                 "-fg", "black", "-xrm", "XTerm*allowTitleOps: false", "-e", *command)  # fmt: skip
        return self.start(*words, window=f"^{name}$")

    def tell(self, *words: str) -> str:
        """Run a program and wait for its end."""
        done = subprocess.run(
            words, env=self._environment, stdout=subprocess.PIPE, text=True, check=True, timeout=20
        )
        return done.stdout

    def hand(self, *words: str | int) -> None:
        """Run xdotool."""
        self.tell("xdotool", *map(str, words))

    def rest(self) -> None:
        """Wait until nothing changes."""
        self._screen.wait_stable(0.5, timeout=30)

    def record(self, name: str, steps: Iterator[None]) -> Trace:
        """Return a picture after every step; each step has a fixed time."""
        self.rest()
        return traced(name, self._pictures(name, steps))

    def _pictures(self, name: str, steps: Iterator[None]) -> Iterator[Picture]:
        yield self._screen.frame(pixels="bgrx")
        due = time.monotonic()
        for number, _ in enumerate(steps):
            progress(f"recording {name}", number, 120)
            due = max(due + STEP, time.monotonic())
            time.sleep(max(0, due - time.monotonic()))
            yield self._screen.frame(pixels="bgrx")


@contextlib.contextmanager
def desk() -> Iterator[Desk]:
    """Yield an empty desk."""
    args = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    with (
        kju.launch(name="kju-bench-traces", xvfb=True, args=args) as machine,
        contextlib.ExitStack() as stack,
    ):
        made = Desk(machine.screen, machine.info()["xvfb"]["display"], stack)
        made.rest()
        yield made


def editing(desk: Desk) -> Iterator[None]:
    """Edit a program's text: words, new lines, corrections, moves of the cursor."""
    file = str(ROOT / "src" / "kju" / "wire" / "sender.py")
    desk.terminal("edit", "130x38+20+10", SOFT, "vim", "-u", "NONE", "-N", "-n", "-R",
                  "-c", "set ruler noswapfile noreadonly", file)  # fmt: skip
    desk.rest()
    desk.hand("key", "--delay", 5, *["j"] * 20, "o")

    def steps() -> Iterator[None]:
        for line in ("# What has been sent is counted here.", "count = len(data) + 40"):
            for letter in line:
                desk.hand("type", "--", letter)
                yield
            for _ in range(5):
                desk.hand("key", "BackSpace")
                yield
            desk.hand("key", "Return")
            yield
        for key in ["Escape", "d", "d", *["j"] * 24, "x", "x", "x"]:
            desk.hand("key", key)
            yield

    return steps()


def scrolling(desk: Desk) -> Iterator[None]:
    """Scroll a listing through a terminal."""
    program = (
        "import glob,sys,time\n"
        f"lines=[l for f in sorted(glob.glob({str(ROOT / 'src/kju/wire')!r}+'/*.py'))"
        " for l in open(f)]\n"
        "print(*lines[:60],sep='',end='',flush=True)\n"
        "open(sys.argv[1]).read()\n"
        "for i in range(60,400,2):\n"
        "  sys.stdout.write(''.join(lines[i:i+2])); sys.stdout.flush(); time.sleep(0.03)\n"
        "time.sleep(60)\n"
    )
    pipe = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"kju-bench-{os.getpid()}"
    os.mkfifo(pipe)
    desk.terminal("scroll", "130x50+20+10", HARD, sys.executable, "-c", program, str(pipe))

    def steps() -> Iterator[None]:
        pipe.open("w").close()
        pipe.unlink()
        for _ in range(100):
            yield

    return steps()


def moving(desk: Desk) -> Iterator[None]:
    """Drag a terminal full of text across others and a patterned background."""
    file = str(ROOT / "src" / "kju" / "wire" / "encoder.py")
    show = ("sh", "-c", f"head -n 60 {file}; sleep 60")
    desk.terminal("left", "70x40+30+40", HARD, *show)
    desk.terminal("right", "70x30+620+280", SOFT, *show)
    number = desk.terminal("drawn", "60x20+80+60", SOFT, *show)
    desk.hand("windowactivate", "--sync", number)

    def steps() -> Iterator[None]:
        for turn in range(100):
            along = turn / 99
            x, y = 80 + 560 * along, 60 + 340 * along**2
            desk.hand("windowmove", number, int(x), int(y))
            yield

    return steps()


def session(desk: Desk) -> Iterator[None]:
    """Do various things: a clock, a shell, a menu, raised and dragged windows, an editor."""
    shell = ("env", "PS1=$ ", "sh")
    file = str(ROOT / "src" / "kju" / "wire" / "receiver.py")
    desk.start("xclock", "-geometry", "160x160+1090+20", "-update", "1", window="xclock")
    edit = desk.terminal("edit", "90x30+60+60", SOFT, "vim", "-u", "NONE", "-N", "-n", "-R",
                         "-c", "set noreadonly", file)  # fmt: skip
    work = desk.terminal("work", "80x24+420+320", HARD, *shell)
    desk.hand("windowactivate", "--sync", work)

    def keys(*names: str) -> Iterator[None]:
        for name in names:
            desk.hand("key", name)
            yield

    def words(text: str) -> Iterator[None]:
        for letter in text:
            desk.hand("type", "--", letter)
            yield

    def steps() -> Iterator[None]:
        yield from words("ls -l /usr/bin | head -40")
        yield from keys("Return")
        for _ in range(5):
            yield
        desk.hand("windowactivate", edit)
        yield
        yield from keys("j", "j", "ctrl+d", "ctrl+d", "j", "j", "o")
        yield from words("# a remark")
        yield from keys("Escape", "ctrl+u")
        desk.hand("mousemove", 1150, 600, "click", 3)
        yield
        for y in range(600, 760, 16):
            desk.hand("mousemove", 1180, y)
            yield
        yield from keys("Escape")
        desk.hand("windowactivate", work)
        yield
        for turn in range(20):
            desk.hand("windowmove", work, 420 - 12 * turn, 320 - 9 * turn)
            yield
        yield from words("clear; cat /proc/meminfo")
        yield from keys("Return")
        for _ in range(5):
            yield

    return steps()


PROGRAMS: dict[str, Callable[[Desk], Iterator[None]]] = {
    "text editing": editing,
    "scrolling text": scrolling,
    "window moves": moving,
    "desktop session": session,
}


# ---- computed pictures ----


def _plain(colour: tuple[int, int, int]) -> Picture:
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[..., :3] = colour
    return picture


def box() -> Iterator[Picture]:
    """Move 200x200 pixels of one colour over a plain background."""
    for turn in range(61):
        picture = _plain((200, 200, 200))
        x, y = 50 + 7 * turn, 100 + 5 * turn
        picture[y : y + 200, x : x + 200, :3] = (30, 60, 90)
        yield picture


def gradient() -> Iterator[Picture]:
    """Draw changing gradients over the whole screen."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for turn in range(21):
        picture = _plain((0, 0, 0))
        picture[..., 0] = x // 5 + turn
        picture[..., 1] = y // 4 + 3 * turn
        picture[..., 2] = (x + y) // 8 + turn
        yield picture


def film() -> Iterator[Picture]:
    """Draw 640x360 pixels of moving soft shapes with a camera's noise, in a window."""
    rng = np.random.default_rng(1)
    height, width = 360, 640
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ground = _plain((60, 60, 60))
    for turn in range(31):
        picture = ground.copy()
        shapes = [
            110
            + 60 * np.sin(x / (40 + 9 * c) + turn / 9) * np.cos(y / (31 + 7 * c) - turn / 7)
            + 35 * np.sin((x + y) / 90 + c + turn / 5)
            for c in range(3)
        ]
        grain = rng.normal(0, 3, (height, width, 1)) + rng.normal(0, 1.5, (height, width, 3))
        inside = np.clip(np.stack(shapes, -1) + grain, 0, 255)
        picture[200 : 200 + height, 320 : 320 + width, :3] = inside
        yield picture


def noise() -> Iterator[Picture]:
    """Draw every pixel at random: incompressible."""
    rng = np.random.default_rng(2)
    for _ in range(9):
        picture = _plain((0, 0, 0))
        picture[..., :3] = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        yield picture


PICTURES: dict[str, Callable[[], Iterator[Picture]]] = {
    "video": film,
    "box on plain ground": box,
    "gradient": gradient,
    "noise": noise,
}


def traces() -> Iterator[Trace]:
    """Yield all traces in sequence; without the programs only the computed ones."""
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        print(f"install {', '.join(missing)}: traces are recorded from them", file=sys.stderr)
    for name, program in ({} if missing else PROGRAMS).items():
        with desk() as where:
            steps = program(where)
            yield where.record(name, steps)
    for name, make in PICTURES.items():
        yield traced(name, make())
