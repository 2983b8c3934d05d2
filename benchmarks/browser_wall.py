"""A wall of machines in a page: CPU of kju web, the browser, the hosts and the QEMUs.

The machines have no guests, as in wall.py. The time of hosts and QEMUs is the difference to the
same time without a page.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

from . import browser_page as pages
from . import wall
from .measure import Figure, amount, cpu_seconds, progress

#: Percent of a core of kju web and of the browser, each.
MOST = 10.0
#: Seconds for all first pictures.
READY = 60.0


def figures(folder: str) -> Iterator[Figure]:
    count = int(amount("MACHINES", wall.HALF))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with (
        wall.machines(folder, count) as started,
        pages.kju_web() as web,
        pages.chromium(folder) as browser,
    ):
        for number, moving in enumerate((True, False)):
            progress(f"wall of {count}, {'moving' if moving else 'still'}", number, 2)
            yield from _measure(browser, web, folder, started, moving=moving)


def _measure(
    browser: Any, web: pages.KjuWeb, folder: str, started: Sequence[wall.Machine], *, moving: bool
) -> Iterator[Figure]:
    seconds = amount("SECONDS", 10)
    hosts, qemus = [each.machine.host_pid for each in started], [each.pid for each in started]
    with wall.drawing(started if moving else started[:0]):
        time.sleep(2.0)
        alone = wall.used(([], hosts, qemus), seconds)
        page = browser.new_page()
        page.add_init_script(f"{pages.HOOK}({[*pages.NOWHERE, *pages.NOWHERE]})")
        page.goto(web.page())
        deadline = time.monotonic() + READY
        while (shown := _pictures(page)) < len(started):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the wall shows {shown} pictures of {len(started)}")
            time.sleep(0.1)
        time.sleep(3.0)
        before, begun = (pages.cpu(folder), cpu_seconds(web.pid)), time.monotonic()
        seen = wall.used(([web.pid], hosts, qemus), seconds).minus(alone)
        after, took = (pages.cpu(folder), cpu_seconds(web.pid)), time.monotonic() - begun
        sockets = page.evaluate("bench.sockets")
        page.close()
    browser_, server = (100 * (b - a) / took for a, b in zip(before, after, strict=True))
    what = f"wall of {len(started)} {'at 2 Hz' if moving else 'still machines'}"
    words = f"hosts {seen.hosts:+.1f} %, QEMUs {seen.qemus:+.1f} %"
    limit = MOST if moving else 1.0
    yield Figure("browser_wall", f"{what}: kju web", server, "% of a core", limit, "", words)
    yield Figure("browser_wall", f"{what}: browser", browser_, "% of a core", limit, "", words)
    yield Figure("browser_wall", f"{what}: sockets", sockets, "sockets", 1, "")


def _pictures(page: Any) -> int:
    return int(page.evaluate(
        "[...document.querySelectorAll('main img, main canvas')].filter((each) =>"
        " each.naturalWidth > 0 || each.width > 0).length"
    ))  # fmt: skip
