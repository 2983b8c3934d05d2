"""From a key to its pixel on a page's canvas: kju web against noVNC on QEMU's own WebSocket.

One Chromium shows each page in turns. The time begins with the browser's time of a trusted key
event, and ends with the call that drew the pixel on the visible canvas: both pages are measured in
the same way, by the calls that they make themselves.

noVNC is `npm pack @novnc/novnc`, unpacked: `KJU_BENCH_NOVNC` names its folder.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import guests, rig
from .keys import BUSY, IDLE, SIZE
from .measure import Figure, amount, percentile, progress
from .rig import Rig
from .viewer import KEY

#: Presses of one turn.
TURN = 20
#: Regime, percentile, and the required ratio of noVNC's time to kju's.
TARGETS = (("idle", 0.5, 4.0), ("idle", 0.95, 3.0), ("busy", 0.5, 2.5), ("busy", 0.95, 2.5))

NOVNC_PAGE = """<!doctype html><html><body style="margin:0"><div id="screen"></div>
<script type="module">
import RFB from "./core/rfb.js";
new RFB(document.getElementById("screen"), "ws://127.0.0.1:%d/");
</script></body></html>
"""

#: Looks at the key's pixels after each call that draws on a visible canvas, and at a lit pixel for
#: the first picture.
HOOK = """(([x, y, litX, litY]) => {
  const read = CanvasRenderingContext2D.prototype.getImageData;
  let last = "";
  window.benchKeys = [];
  window.benchDrawn = [];
  window.benchFirst = 0;
  for (const name of ["putImageData", "drawImage"]) {
    const call = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...words) {
      call.apply(this, words);
      if (!this.canvas.isConnected || this.canvas.width < 1280) return;
      if (!window.benchFirst && read.call(this, litX, litY, 1, 1).data[0] > 0)
        window.benchFirst = performance.now();
      const now = read.call(this, x, y, 4, 1).data.join();
      if (now === last) return;
      last = now;
      window.benchDrawn.push(performance.now());
    };
  }
  const down = (event) => {
    if (event.isTrusted && !event.repeat) window.benchKeys.push(event.timeStamp);
  };
  window.addEventListener("keydown", down, true);
})"""


class Shown(NamedTuple):
    """One page that shows the guest.

    Attributes:
        page: Playwright's.
        line: The guest's serial line.
        first: Milliseconds from the navigation to its first picture.
    """

    page: Any
    rig: Rig
    first: float


def figures(folder: str) -> Iterator[Figure]:
    novnc = os.environ.get("KJU_BENCH_NOVNC", "")
    if not shutil.which("chromium"):
        raise SystemExit("benchmarks browser needs chromium: sudo apt-get install chromium")
    if not (Path(novnc) / "core/rfb.js").exists():
        raise SystemExit(
            "benchmarks browser needs noVNC: npm pack @novnc/novnc, unpack it, and set"
            " KJU_BENCH_NOVNC to the folder with core/"
        )
    from playwright.sync_api import sync_playwright

    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(rig.of_kju(folder, arguments, "kju-bench-browser"))
        port = 5700 + os.getpid() % 200
        socket = ["-vnc", f"unix:{folder}/vnc-page,websocket=127.0.0.1:{port}"]
        theirs = stack.enter_context(rig.of_qemu(folder, [*arguments, *socket], "none"))
        link = stack.enter_context(_kju_web())
        their_page = stack.enter_context(_static(Path(novnc), NOVNC_PAGE % port))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch_persistent_context(
            f"{folder}/profile",
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            viewport={"width": 1280, "height": 900},
        )
        stack.callback(browser.close)
        yield from _measure(browser, {"kju": (ours, link), "noVNC": (theirs, their_page)}, folder)


@contextlib.contextmanager
def _kju_web() -> Iterator[str]:
    """Run kju web; return the address of the guest's page with the key of a link for many uses."""
    command = [sys.executable, "-m", "kju.cli", "web"]
    serve = [*command, "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(r"(http://\S+/)#", said)):
                if not (line := process.stdout.readline()):
                    raise RuntimeError("kju web has ended")
                said += line
            link = [*command, "link", "--role", "control", "--uses", "100"]
            key = re.search(r"#([\w-]{43})", subprocess.check_output(link, text=True))
            assert key
            yield f"{found[1]}m/kju-bench-browser#{key[1]}"
        finally:
            process.terminate()


@contextlib.contextmanager
def _static(folder: Path, page: str) -> Iterator[str]:
    """Serve noVNC's files and a page that uses them."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/":
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


def _lit(chosen: Rig) -> tuple[int, int]:
    """Return the place of a pixel with red; a page begins with black."""
    assert chosen.machine is not None
    rows, columns = np.nonzero(chosen.machine.screen.frame(sync=True)[:, :, 0])
    return int(columns[-1]), int(rows[-1])


@contextlib.contextmanager
def _open(browser: Any, chosen: Rig, url: str, lit: tuple[int, int]) -> Iterator[Shown]:
    page = browser.new_page()
    try:
        page.add_init_script(f"{HOOK}({[*KEY, *lit]})")
        page.goto(url)
        deadline = time.monotonic() + 60
        # Not wait_for_function: it evaluates in the page, which the page's policy forbids.
        while not (first := page.evaluate("window.benchFirst")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url.partition('#')[0]} shows no picture")
            time.sleep(0.02)
        page.wait_for_timeout(1500)
        page.locator("canvas").last.focus()
        yield Shown(page, chosen, first)
    finally:
        page.close()


def _presses(shown: Shown, regime: str, count: int) -> list[float]:
    """Press a key *count* times; return the milliseconds to the pixel of each."""
    page = shown.page
    shown.rig.line.tell("box" if regime == "busy" else "still")
    page.keyboard.press("a")
    page.wait_for_timeout(1000)
    page.evaluate("window.benchKeys.length = window.benchDrawn.length = 0")
    for _ in range(count):
        page.keyboard.down("a")
        time.sleep(0.02)
        page.keyboard.up("a")
        time.sleep(BUSY if regime == "busy" else random.uniform(*IDLE))
    page.wait_for_timeout(1000)
    keys, drawn = page.evaluate("[window.benchKeys, window.benchDrawn]")
    shown.rig.line.tell("still")
    found = []
    for at, until in zip(keys, [*keys[1:], float("inf")], strict=True):
        after = [time for time in drawn if at <= time < until]
        if after:
            found.append(after[0] - at)
    return found


def _cpu(profile: str) -> float:
    """Return the processor seconds of the browser's processes."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            words = (status.parent / "cmdline").read_bytes()
            fields = status.read_text().rpartition(")")[2].split()
            if profile.encode() in words or b"chromium" in words.partition(b"\0")[0]:
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _measure(browser: Any, ways: dict[str, tuple[Rig, str]], folder: str) -> Iterator[Figure]:
    count = int(amount("PRESSES", 60))
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    first: dict[str, list[float]] = defaultdict(list)
    used: dict[str, list[float]] = defaultdict(list)
    turns = max(1, round(count / TURN))
    lit = _lit(ways["kju"][0])
    for turn in range(turns):
        for number, (way, (chosen, url)) in enumerate(ways.items()):
            progress(f"browser: {way}", turn * len(ways) + number, turns * len(ways))
            with _open(browser, chosen, url, lit) as shown:
                first[way].append(shown.first)
                for regime in ("idle", "busy"):
                    taken[way, regime] += _presses(shown, regime, TURN)
                chosen.line.tell("box")
                begun, before = time.monotonic(), _cpu(folder)
                time.sleep(4)
                used[way].append((_cpu(folder) - before) / (time.monotonic() - begun))
                chosen.line.tell("still")
    for regime, share, least in TARGETS:
        ours, theirs = taken["kju", regime], taken["noVNC", regime]
        words = f"{len(ours)} and {len(theirs)} presses of {turns * TURN} seen"
        a, b = percentile(ours, share), percentile(theirs, share)
        yield Figure(
            "browser", f"key to pixel on the canvas, {regime}, p{share * 100:g}: noVNC / kju",
            b / a, "x", None, "noVNC", f"{a:.1f} against {b:.1f} ms; {words}", least,
        )  # fmt: skip
    a, b = statistics.median(first["kju"]), statistics.median(first["noVNC"])
    yield Figure(
        "browser", "first picture from the navigation: kju / noVNC", a / b, "x", 0.5, "noVNC",
        f"{a:.0f} against {b:.0f} ms",
    )  # fmt: skip
    a, b = statistics.median(used["kju"]), statistics.median(used["noVNC"])
    yield Figure(
        "browser", "CPU of the browser over a small animation: kju / noVNC", a / b, "x", 1.0,
        "noVNC", f"{100 * a:.0f} against {100 * b:.0f} % of a core",
    )  # fmt: skip
