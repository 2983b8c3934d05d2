"""Chromium that shows one guest by kju web and by noVNC on QEMU's own WebSocket.

Both pages are measured in the same way: by the calls with which they draw on a visible canvas.

noVNC is `npm pack @novnc/novnc`, unpacked: `KJU_BENCH_NOVNC` names its folder. Its files are served
by a process of their own, with connections that are kept.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .keys import BUSY, IDLE
from .measure import cpu_seconds
from .viewer import KEY

NOVNC_PAGE = """<!doctype html><html><body style="margin:0"><div id="screen"></div>
<script type="module">
import RFB from "./core/rfb.js";
new RFB(document.getElementById("screen"), "%s");
</script></body></html>
"""

#: Looks at watched pixels after each call that may draw them on a visible canvas, and at a lit
#: pixel for the first picture. A drawing takes as long as the task that took its message.
HOOK = """(([x, y, litX, litY]) => {
  const read = CanvasRenderingContext2D.prototype.getImageData;
  const bench = window.bench = {keys: [], shown: [], tasks: [], long: 0, sockets: 0, first: 0};
  let last = "", drawn = 0, isHandled = false, isTimed = false;
  const has = (left, top, width, height, px, py) =>
    px >= left && py >= top && px < left + width && py < top + height;
  const area = (name, w) => name === "drawImage"
    ? (w.length === 9 ? w.slice(5) : w.length === 5 ? w.slice(1) : [w[1], w[2], 1e6, 1e6])
    : (w.length === 7 ? [w[1] + w[3], w[2] + w[4], w[5], w[6]] : [w[1], w[2], 1e6, 1e6]);
  for (const name of ["putImageData", "drawImage"]) {
    const call = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...words) {
      const begun = performance.now();
      call.apply(this, words);
      if (!this.canvas.isConnected || this.canvas.width < 1024) return;
      drawn++;
      if (!isHandled && !isTimed) {
        isTimed = true; // such as a photo, which was decoded meanwhile
        queueMicrotask(() => {
          isTimed = false;
          bench.tasks.push(performance.now() - begun);
        });
      }
      const place = area(name, words);
      const red = (x, y) => has(...place, x, y) && read.call(this, x, y, 1, 1).data[0] > 0;
      if (!bench.first && red(litX, litY)) bench.first = performance.now();
      if (!has(...place, x, y)) return;
      const now = read.call(this, x, y, 4, 1).data.join();
      if (now === last) return;
      last = now;
      bench.shown.push(performance.now());
    };
  }
  for (const kind of [WebSocket, MessagePort]) {
    const {get, set} = Object.getOwnPropertyDescriptor(kind.prototype, "onmessage");
    Object.defineProperty(kind.prototype, "onmessage", {get, set(handler) {
      set.call(this, handler && function (event) {
        const [begun, before] = [performance.now(), drawn];
        isHandled = true;
        try { handler.call(this, event); } finally { isHandled = false; }
        if (drawn > before) bench.tasks.push(performance.now() - begun);
      });
    }});
  }
  // Not a subclass: noVNC checks the prototype.
  window.WebSocket = new Proxy(WebSocket, {construct(plain, words) {
    bench.sockets++;
    return new plain(...words);
  }});
  new PerformanceObserver((list) => { bench.long += list.getEntries().length; })
    .observe({type: "longtask"});
  window.addEventListener("keydown", (event) => {
    if (event.isTrusted && !event.repeat) bench.keys.push(event.timeStamp);
  }, true);
})"""
_RESET = "bench.keys.length = bench.shown.length = bench.tasks.length = bench.long = 0"
#: No machine of the measured ones has this place: nothing is watched there.
NOWHERE = (100_000, 100_000)


def novnc() -> Path:
    """Return noVNC's folder."""
    folder = Path(os.environ.get("KJU_BENCH_NOVNC", ""))
    if not shutil.which("chromium"):
        raise SystemExit("this benchmark needs chromium: sudo apt-get install chromium")
    if not (folder / "core/rfb.js").exists():
        raise SystemExit(
            "this benchmark needs noVNC: npm pack @novnc/novnc, unpack it, and set"
            " KJU_BENCH_NOVNC to the folder with core/"
        )
    return folder


@contextlib.contextmanager
def chromium(folder: str, before: Sequence[str] = ()) -> Iterator[Any]:
    """Run Chromium with a profile of its own; yield Playwright's context.

    Args:
        folder: The parent of its files.
        before: Words before its command.
    """
    from playwright.sync_api import sync_playwright

    program = Path(folder) / "chromium"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([*before, "chromium"])} "$@"\n')
    program.chmod(0o755)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            f"{folder}/profile",
            executable_path=program,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            viewport={"width": 1280, "height": 900},
            ignore_https_errors=True,
        )
        try:
            yield browser
        finally:
            browser.close()


def cpu(folder: str) -> float:
    """Return the processor seconds of the browser's processes: not those of another Chromium."""
    own: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes()
            if f"{folder}/profile".encode() in words and b"chromium" in words:
                own.add(int(process.name))
    seconds = 0.0
    for pid in with_descendants(own):
        with contextlib.suppress(OSError):
            seconds += cpu_seconds(pid)
    return seconds


def with_descendants(pids: set[int]) -> set[int]:
    """Return processes, and the processes below them."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (process / "stat").read_text().rpartition(")")[2]
            parents[int(process.name)] = int(stat.split()[1])
    own = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return own


class KjuWeb(NamedTuple):
    """A running kju web.

    Attributes:
        pid: Its process.
        url: The address of its page.
        key: The key of a link for many uses.
    """

    pid: int
    url: str
    key: str

    def page(self, machine: str = "") -> str:
        """Return the address of a machine, or of the wall."""
        return f"{self.url}{f'm/{machine}' if machine else ''}#{self.key}"


@contextlib.contextmanager
def kju_web(before: Sequence[str] = (), listen: str = "127.0.0.1:0") -> Iterator[KjuWeb]:
    """Run kju web."""
    command = [sys.executable, "-m", "kju.cli", "web"]
    serve = [*before, *command, "serve", "--listen", listen]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            said = ""
            while not (found := re.search(r"(https?://\S+/)#", said)):
                if not (line := process.stdout.readline()):
                    raise RuntimeError("kju web has ended")
                said += line
            link = [*command, "link", "--role", "control", "--uses", "100"]
            key = re.search(r"#([\w-]{43})", subprocess.check_output(link, text=True))
            assert key
            yield KjuWeb(process.pid, found[1], key[1])
        finally:
            process.terminate()


@contextlib.contextmanager
def novnc_page(
    socket: str, before: Sequence[str] = (), address: str = "127.0.0.1"
) -> Iterator[str]:
    """Serve noVNC's files and a page that shows one VNC server; yield the page's address."""
    words = [sys.executable, "-m", "benchmarks.browser_page", str(novnc()), address, socket]
    with subprocess.Popen([*before, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


class _Files(http.server.SimpleHTTPRequestHandler):
    """noVNC's files, and the page at /."""

    protocol_version = "HTTP/1.1"
    page = b""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None:
        pass


def _serve_files(folder: str, address: str, socket: str) -> None:
    _Files.page = (NOVNC_PAGE % socket).encode()
    handler = functools.partial(_Files, directory=folder)
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        print(f"http://{address}:{server.server_address[1]}/", flush=True)
        server.serve_forever()


class _Told(Protocol):
    def tell(self, command: str) -> object: ...


class Moved(Protocol):
    """What a page shows: the commands ``box`` and ``still`` move a box and stop it."""

    @property
    def line(self) -> _Told: ...
    @property
    def pid(self) -> int: ...


class Shown(NamedTuple):
    """One page that shows a guest.

    Attributes:
        page: Playwright's.
        first: Milliseconds from the navigation to its first picture.
    """

    page: Any
    first: float

    def reset(self) -> None:
        """Forget what was measured so far."""
        self.page.evaluate(_RESET)

    def seen(self) -> dict[str, Any]:
        """Return what was measured: see `HOOK`."""
        return dict(self.page.evaluate("bench"))

    def loaded(self) -> int:
        """Return the bytes of all responses of this visit, without their headers."""
        return int(
            self.page.evaluate(
                "['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
                ".reduce((sum, entry) => sum + entry.encodedBodySize, 0)"
            )
        )


@contextlib.contextmanager
def shown(
    browser: Any,
    url: str,
    lit: tuple[int, int],
    watched: tuple[int, int] = KEY,
    *,
    hook: str = "",
    focus: str = "canvas",
) -> Iterator[Shown]:
    """Open a page, and yield it a moment after its first picture.

    Args:
        browser: Playwright's context.
        url: Its address.
        lit: A pixel with red: a page begins with black.
        watched: The left one of four watched pixels.
        hook: A further function that looks at the pixels: see `HOOK`.
        focus: The selector of the element that gets the keys; the last one, if there are several.
    """
    page = browser.new_page()
    try:
        for each in (HOOK, *([hook] if hook else [])):
            page.add_init_script(f"{each}({[*watched, *lit]})")
        page.goto(url)
        deadline = time.monotonic() + 60
        # Not wait_for_function: it evaluates in the page, which the page's policy forbids.
        while not (first := page.evaluate("bench.first")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{url.partition('#')[0]} shows no picture")
            time.sleep(0.02)
        page.wait_for_timeout(1500)
        page.locator(focus).last.focus()
        yield Shown(page, first)
    finally:
        page.close()


def presses(
    shown: Shown,
    rig: Moved,
    regime: str,
    count: int,
    busy: tuple[float, float] = (BUSY, BUSY),
) -> list[float]:
    """Press a key *count* times; return the milliseconds to the pixel of each.

    Args:
        shown: The page.
        rig: What it shows.
        regime: ``idle`` or ``busy``.
        count: The presses.
        busy: The shortest and the longest pause after a press while the box moves, seconds.
    """
    page = shown.page
    rig.line.tell("box" if regime == "busy" else "still")
    page.keyboard.press("a")
    page.wait_for_timeout(1000)
    shown.reset()
    for _ in range(count):
        page.keyboard.down("a")
        time.sleep(0.02)
        page.keyboard.up("a")
        time.sleep(random.uniform(*(busy if regime == "busy" else IDLE)))
    page.wait_for_timeout(1000)
    seen = shown.seen()
    rig.line.tell("still")
    return pairs(seen["keys"], seen["shown"])


def pairs(begun: list[float], shown: list[float]) -> list[float]:
    """Return the time from each beginning to what was shown first between it and the next one."""
    found = []
    for at, until in zip(begun, [*begun[1:], float("inf")], strict=True):
        after = [time for time in shown if at <= time < until]
        if after:
            found.append(after[0] - at)
    return found


if __name__ == "__main__":
    _serve_files(*sys.argv[1:])
