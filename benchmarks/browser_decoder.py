"""The page's decoder in Chromium, with and without a debugger, and in node: the same blocks.

V8 compiles WebAssembly twice: quickly at a function's first call (Liftoff), and well after many
calls (TurboFan). With a debugger it keeps the first code. The least time of a draw is the machine
code's; the first one includes the compilation.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import itertools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kju.web.assets import FOLDER
from kju.wire import _wire, codecs

from . import browser_page as pages
from . import traces
from .measure import Figure, amount

WIDTH, HEIGHT, ROWS = 1280, 800, 200
SCRIPT = """
export async function run(bytes, blocks, rounds) {
  const decoder = new WebAssembly.Instance(await WebAssembly.compile(bytes)).exports;
  decoder.mode(WIDTH, HEIGHT, 0);
  const taken = [];
  for (let i = 0; i < rounds; i++) {
    const [text, size] = blocks[i % blocks.length];
    const data = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    new Uint8Array(decoder.memory.buffer, decoder.data_at(), data.length).set(data);
    const begun = performance.now();
    if (decoder.draw(data.length, size, 0) < 0) throw new Error("a block that is not valid");
    taken.push(performance.now() - begun);
  }
  return taken;
}
""".replace("WIDTH, HEIGHT", f"{WIDTH}, {HEIGHT}")
IN_NODE = """
import { readFileSync } from "node:fs";
import { run } from "./run.mjs";
const blocks = JSON.parse(readFileSync("blocks.json"));
console.log(JSON.stringify(await run(readFileSync("screen.wasm"), blocks, ROUNDS)));
"""
IN_PAGE = """async (rounds) => {
  const { run } = await import("/run.mjs");
  const bytes = await (await fetch("/screen.wasm")).arrayBuffer();
  return run(bytes, await (await fetch("/blocks.json")).json(), rounds);
}"""


def figures(folder: str) -> Iterator[Figure]:
    here, rounds = Path(folder) / "decoder", int(amount("ROUNDS", 600))
    here.mkdir()
    (here / "run.mjs").write_text(SCRIPT)
    (here / "index.html").write_text("<!doctype html>")
    (here / "blocks.json").write_text(json.dumps(list(_blocks())))
    shutil.copy(FOLDER / "screen.wasm", here)
    with _served(here) as url, pages.chromium(folder) as browser:
        taken = {
            "Chromium": _in_page(browser, url, rounds, debugged=False),
            "Chromium with a debugger": _in_page(browser, url, rounds, debugged=True),
        }
    if node := shutil.which("node"):
        (here / "main.mjs").write_text(IN_NODE.replace("ROUNDS", str(rounds)))
        taken["node"] = json.loads(subprocess.check_output([node, "main.mjs"], cwd=here))
    for name, each in taken.items():
        yield Figure(
            "browser_decoder", f"a block of {WIDTH}x{ROWS} gradients in {name}", min(each), "ms",
            None, "", f"the first {each[0]:.1f} ms, p50 of the next nine "
            f"{np.median(each[1:10]):.2f} ms, of the last hundred {np.median(each[-100:]):.2f} ms",
        )  # fmt: skip


def _blocks() -> Iterator[tuple[str, int]]:
    form = WIDTH, HEIGHT, 4 * WIDTH, 4
    for picture in itertools.islice(traces.gradient(), 6):
        packed = _wire.pack(np.ascontiguousarray(picture), form, [(0, 0, WIDTH, ROWS)])
        yield base64.b64encode(codecs.compress(packed, "zstd")).decode(), len(packed)


def _in_page(browser: Any, url: str, rounds: int, *, debugged: bool) -> list[float]:
    page = browser.new_page()
    try:
        if debugged:
            browser.new_cdp_session(page).send("Debugger.enable")
        page.goto(url)
        return list(page.evaluate(IN_PAGE, rounds))
    finally:
        page.close()


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder; yield its address."""
    handler = functools.partial(_Files, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


class _Files(http.server.SimpleHTTPRequestHandler):
    def guess_type(self, path: Any) -> str:
        return "text/javascript" if str(path).endswith(".mjs") else super().guess_type(path)

    def log_message(self, *_: object) -> None:
        pass
