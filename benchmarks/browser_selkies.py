"""An X desktop in a page: kju web against Selkies, each with its own Xvfb and the same program.

Both are used as installed: kju web sends exact pixels, Selkies lossy video (H.264 by its default)
over a WebSocket. A time ends for kju with the call that drew the pixel on the visible canvas, and
for Selkies with the call that passed the frame with the pixel to its <video> element.

kju sends no input to an X server. So a time from a trusted key event is that of an emulated guest
for kju (the guest of browser.py), and that of the X program for Selkies. The times from a change
that the program makes by itself, and the processor times, are those of the two Xvfbs.

Selkies is installed in an environment of its own: `KJU_BENCH_SELKIES` names its folder.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import statistics
import subprocess
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import kju

from . import browser_page as pages
from . import guests, rig, x_program
from .browser import TURN, Used, animated, lit
from .keys import IDLE
from .measure import Figure, amount, percentile, progress
from .programs import START, Program
from .viewer import KEY
from .xserver import started, xserver

WIDTH, HEIGHT = 1280, 800
REGIMES = ("idle", "busy")
#: Seconds between two changes while the box moves: more than Selkies needs to show one.
PAUSE = (0.2, 0.3)
#: Records frames that are passed to a <video>: reads the brightness (Y) of the watched pixels.
VIDEO_HOOK = """(([x, y, litX, litY]) => {
  const {write} = WritableStreamDefaultWriter.prototype;
  let last = null;
  const isLit = async (frame, x, y) => {
    const rect = {x: x & ~1, y: y & ~1, width: 2, height: 2};
    const bytes = new Uint8Array(frame.allocationSize({rect}));
    await frame.copyTo(bytes, {rect});
    return bytes[0] > 127;
  };
  const look = async (frame, at) => {
    if (!bench.first && (await isLit(frame, litX, litY))) bench.first = at;
    const now = await isLit(frame, x, y);
    if (now !== last) bench.shown.push(at);
    last = now;
    frame.close();
  };
  WritableStreamDefaultWriter.prototype.write = function (frame) {
    if (!(frame instanceof VideoFrame)) return write.call(this, frame);
    const copy = frame.clone();
    const result = write.call(this, frame);
    const at = performance.now();
    bench.tasks.push(0);
    look(copy, at);
    return result;
  };
})"""


class Line:
    """Commands of x_program.py."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def tell(self, command: str) -> float:
        """Send a command; return the time at which it was carried out, seconds since 1970."""
        self._program.tell(command)
        return float(self._program.line(START))


class Desktop(NamedTuple):
    """An X server with the program.

    Attributes:
        line: The program's.
        pid: The X server.
    """

    line: Line
    pid: int


class Way(NamedTuple):
    """A page that shows something.

    Attributes:
        rig: What it shows.
        lit: A pixel with red.
        watched: See `browser_page.shown`.
        url: The address of its page.
        pids: Returns the processes that serve it, without the X server.
        hook: See `browser_page.shown`.
        focus: The same.
    """

    rig: pages.Moved
    lit: tuple[int, int]
    watched: tuple[int, int]
    url: str
    pids: Callable[[], list[int]]
    hook: str = ""
    focus: str = "canvas"


def selkies() -> Path:
    """Return the program of Selkies."""
    program = Path(os.environ.get("KJU_BENCH_SELKIES", ""), "bin/selkies")
    if not program.exists():
        raise SystemExit(
            "this benchmark needs Selkies: python3 -m venv FOLDER && FOLDER/bin/pip install"
            " selkies, and set KJU_BENCH_SELKIES to the folder"
        )
    return program


def desktop(stack: contextlib.ExitStack, display: str, pid: int) -> Desktop:
    """Run the program on a display."""
    words = "env", f"DISPLAY={display}"
    program = Program(stack, "x_program", str(WIDTH), str(HEIGHT), before=words)
    if program.line(START) != "ready":
        raise RuntimeError("the program on the X server does not start")
    return Desktop(Line(program), pid)


@contextlib.contextmanager
def of_kju(folder: str) -> Iterator[dict[str, Way]]:
    """Run an Xvfb and a guest of kju, and kju web."""
    size = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
    arguments = guests.measured("VGA", via="vram", mode="still", size=f"{WIDTH}x{HEIGHT}")
    with (
        kju.launch(name="kju-bench-desktop", xvfb=True, args=size) as machine,
        rig.of_kju(folder, arguments, "kju-bench-guest") as guest,
        pages.kju_web() as web,
        contextlib.ExitStack() as stack,
    ):
        xvfb = machine.info()["xvfb"]
        shown = desktop(stack, xvfb["display"], int(xvfb["pid"]))
        host = machine.host_pid
        yield {
            "guest": Way(guest, lit(guest), KEY, web.page(guest.name), list),
            "kju": Way(shown, x_program.LIT, x_program.KEY, web.page(machine.name),
                       lambda: [web.pid, host]),
        }  # fmt: skip


@contextlib.contextmanager
def of_selkies(folder: str) -> Iterator[Way]:
    """Run an Xvfb, and Selkies on it."""
    home = Path(folder, "selkies")
    home.mkdir(mode=0o700)
    with xserver(WIDTH, HEIGHT) as server, contextlib.ExitStack() as stack:
        shown = desktop(stack, server.display, server.pid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        unwanted = {"PYTHONPATH", "DBUS_SESSION_BUS_ADDRESS"}
        environment = {
            name: value for name, value in server.environment.items() if name not in unwanted
        }
        environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
        # No sound server runs here, and loopback needs no password. The screen keeps its size.
        command = [str(selkies()), "--addr", "127.0.0.1", "--port", str(port),
                   "--audio-enabled", "false", "--enable-resize", "false",
                   "--enable-basic-auth", "false"]  # fmt: skip
        process = stack.enter_context(started(command, environment=environment))
        url = f"http://127.0.0.1:{port}/"
        _until_answers(url, process)
        own = {process.pid}
        yield Way(shown, x_program.LIT, x_program.KEY, url,
                  lambda: [*pages.with_descendants(own)], VIDEO_HOOK, "body")  # fmt: skip


def _until_answers(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError("Selkies has ended")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError("Selkies does not answer")


def flips(shown: pages.Shown, way: Way, regime: str, count: int) -> list[float]:
    """Let the program change its square; return the milliseconds to the pixel of each change."""
    way.rig.line.tell("box" if regime == "busy" else "still")
    way.rig.line.tell("flip")
    shown.page.wait_for_timeout(1000)
    shown.reset()
    made = []
    for _ in range(count):
        made.append(float(str(way.rig.line.tell("flip"))))
        time.sleep(random.uniform(*(PAUSE if regime == "busy" else IDLE)))
    shown.page.wait_for_timeout(1000)
    origin, seen = float(shown.page.evaluate("performance.timeOrigin")), shown.seen()["shown"]
    way.rig.line.tell("still")
    begun = [1000 * each - origin for each in made]
    return pages.pairs(begun, seen)


def figures(folder: str) -> Iterator[Figure]:
    selkies()
    with contextlib.ExitStack() as stack:
        ways = stack.enter_context(of_kju(folder))
        ways["Selkies"] = stack.enter_context(of_selkies(folder))
        browser = stack.enter_context(pages.chromium(folder))
        yield from _measure(browser, ways, folder)


class Taken(NamedTuple):
    """Results by way, and by regime: milliseconds, and shares of a core."""

    keys: dict[tuple[str, str], list[float]]
    flips: dict[tuple[str, str], list[float]]
    first: dict[str, list[float]]
    used: dict[str, list[Used]]


def _measure(browser: Any, ways: dict[str, Way], folder: str) -> Iterator[Figure]:
    turns = max(1, round(amount("PRESSES", 60) / TURN))
    taken = Taken(defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
    for turn in range(turns):
        for number, (name, way) in enumerate(ways.items()):
            progress(f"browser_selkies: {name}", turn * len(ways) + number, turns * len(ways))
            with pages.shown(
                browser, way.url, way.lit, way.watched, hook=way.hook, focus=way.focus
            ) as shown:
                _turn(shown, name, way, folder, taken)
    for what, times, ours in (
        ("key to pixel, kju with an emulated guest", taken.keys, "guest"),
        ("a change of an X program to its pixel", taken.flips, "kju"),
    ):
        for regime in REGIMES:
            yield from _compare(f"{what}, {regime}", times[ours, regime], times["Selkies", regime],
                                turns * TURN)  # fmt: skip
    yield from _others(taken)


def _turn(shown: pages.Shown, name: str, way: Way, folder: str, taken: Taken) -> None:
    for regime in REGIMES:
        if name != "kju":  # which sends no input to an X server
            taken.keys[name, regime] += pages.presses(shown, way.rig, regime, TURN, PAUSE)
        if name != "guest":
            taken.flips[name, regime] += flips(shown, way, regime, TURN)
    if name != "guest":
        taken.first[name].append(shown.first)
        taken.used[name].append(animated(shown, way.rig, way.pids(), folder))


def _compare(what: str, ours: list[float], theirs: list[float], count: int) -> Iterator[Figure]:
    words = f"{len(ours)} and {len(theirs)} of {count} seen"
    for share in (0.5, 0.95):
        a, b = percentile(ours, share), percentile(theirs, share)
        yield Figure("browser_selkies", f"{what}, p{share * 100:g}: Selkies / kju", b / a, "x",
                     None, "Selkies", f"{a:.1f} against {b:.1f} ms; {words}")  # fmt: skip


def _others(taken: Taken) -> Iterator[Figure]:
    a, b = (statistics.median(taken.first[name]) for name in ("kju", "Selkies"))
    yield Figure("browser_selkies", "first picture from the navigation: kju / Selkies", a / b, "x",
                 None, "Selkies", f"{a:.0f} against {b:.0f} ms")  # fmt: skip
    ours, theirs = (
        Used(*(statistics.median(c) for c in zip(*taken.used[name], strict=True)))
        for name in ("kju", "Selkies")
    )
    what = "over a small animation: kju / Selkies"
    pictures = f"{ours.shown:.0f} and {theirs.shown:.0f} pictures a second"
    yield Figure("browser_selkies", f"CPU of the browser {what}", ours.browser / theirs.browser,
                 "x", None, "Selkies", f"{100 * ours.browser:.0f} against"
                 f" {100 * theirs.browser:.0f} % of a core; {pictures}")  # fmt: skip
    yield Figure("browser_selkies", f"CPU of the servers {what}", ours.servers / theirs.servers,
                 "x", None, "Selkies", f"kju web and the host {100 * ours.servers:.0f} %, Selkies"
                 f" {100 * theirs.servers:.0f} % of a core; the X servers {100 * ours.qemu:.0f} and"
                 f" {100 * theirs.qemu:.0f} %")  # fmt: skip
