"""A key and the guest's answer as a PNG, over MCP: kju, the same server on its peers, and mcvnc.

Every picture is read: it shows the key, or it is counted as stale. The ways take turns.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import random
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, NamedTuple

import numpy as np
from mcp import Client, StdioServerParameters
from PIL import Image

from kju.agents.mcp.server import encoded
from kju.agents.mcp.session import ToolSession

from . import guests, rig
from .measure import Figure, amount, percentile, progress
from .peers import KEY_NAME, WAYS
from .peers.screendump import read_ppm
from .rig import Rig
from .viewer import KEY, missing, stamp

SIZE = "1024x768"
#: Seconds between presses of the first measurement. Models take longer.
PAUSE = (0.2, 0.3)
#: Seconds in which the guest answers a key, before a press of the second measurement.
SETTLED = 0.05
#: Presses of one turn.
TURN = 20
#: As for the peers, the guest's answer ends with its first change, and the key is not held: a text
#: is typed as fast as the guest reads, and a chord is held for ten milliseconds.
ACT = {"steps": [{"type": KEY_NAME}], "first": 5, "still": 0}
PEERS = ("asyncvnc", "vncdotool", "screendump-png", "screendump-ppm")
#: As users of a screendump get a PNG; with kju's encoder it is information.
SCREENDUMP = "screendump-png"
#: Seconds after which a key of mcvnc has changed nothing.
TIMEOUT = 20

#: Press the key; return the PNG.
Press = Callable[[], Awaitable[bytes]]


class Way(NamedTuple):
    """One server.

    Attributes:
        title: Its name.
        chosen: Its guest.
        answer: Presses the key, and returns a picture when the guest has answered.
        now: The same without any wait.
    """

    title: str
    chosen: Rig
    answer: Press
    now: Press


def picture_of(result: Any) -> bytes:
    if result.is_error:
        raise RuntimeError(result.content[0].text)
    return next(base64.b64decode(c.data) for c in result.content if c.type == "image")


def counter_of(png: bytes) -> int:
    """Return the number of presses that a picture shows."""
    rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    return stamp(rgb[..., ::-1], KEY)[0]


@asynccontextmanager
async def connected(*words: str) -> AsyncIterator[Client]:
    server = StdioServerParameters(command=words[0], args=list(words[1:]), env=dict(os.environ))
    async with AsyncExitStack() as stack:
        # A server that ends while it starts would be waited for without an end.
        async with asyncio.timeout(60):
            client = await stack.enter_async_context(Client(server))
        yield client


async def of_kju(stack: AsyncExitStack, chosen: Rig) -> Way:
    client = await stack.enter_async_context(
        connected(sys.executable, "-m", "kju.cli", "mcp", chosen.name)
    )

    async def answer() -> bytes:
        return picture_of(await client.call_tool("act", ACT))

    return Way("kju", chosen, answer, answer)


async def of_peer(stack: AsyncExitStack, name: str, chosen: Rig) -> Way:
    words = ["-m", "benchmarks.peers.mcp_server", name, json.dumps(chosen.where)]
    client = await stack.enter_async_context(connected(sys.executable, *words))

    async def answer() -> bytes:
        return picture_of(await client.call_tool("key", {}))

    async def now() -> bytes:
        return picture_of(await client.call_tool("key_now", {}))

    return Way(WAYS[name].title, chosen, answer, now)


def mcvnc() -> str | None:
    """Return mcvnc's program. It needs an older mcp, so it has an environment of its own."""
    return os.environ.get("KJU_BENCH_MCVNC") or shutil.which("mcvnc")


async def of_mcvnc(stack: AsyncExitStack, chosen: Rig) -> Way:
    """Use mcvnc as its README does: press, wait for a change, take a screenshot."""
    client = await stack.enter_async_context(connected(str(mcvnc())))
    port = int(chosen.keys.command("query-vnc")["service"])
    connect = {"host": "127.0.0.1", "port": port, "session_id": "bench"}
    await client.call_tool("vnc_connect", connect)
    session = {"session_id": "bench"}
    last = picture_of(await client.call_tool("vnc_screenshot", session))

    async def press() -> None:
        await client.call_tool("vnc_press_key", {**session, "key": KEY_NAME})

    async def answer() -> bytes:
        nonlocal last
        await press()
        end, number = time.monotonic() + TIMEOUT, counter_of(last)
        while counter_of(last) == number and time.monotonic() < end:
            await client.call_tool("vnc_wait_for_screen_change", {**session, "timeout": 1})
            last = picture_of(await client.call_tool("vnc_screenshot", session))
        return last

    async def now() -> bytes:
        await press()
        return picture_of(await client.call_tool("vnc_screenshot", session))

    return Way("mcvnc", chosen, answer, now)


class Counted:
    """The presses of one guest, and the pictures that show them."""

    def __init__(self, press: Press, chosen: Rig) -> None:
        self._press = press
        self._chosen = chosen
        self._file = chosen.folder / "counted"
        self._expected = 0

    async def synchronise(self) -> None:
        """Read the guest's counter from QEMU, when it has answered all presses."""
        await asyncio.sleep(SETTLED)
        self._chosen.keys.command("screendump", filename=str(self._file))
        self._expected = stamp(read_ppm(self._file)[..., ::-1], KEY)[0]

    async def press(self) -> tuple[float, bool]:
        """Press; return the milliseconds, and whether the picture shows this press."""
        start = time.perf_counter()
        png = await self._press()
        milliseconds = (time.perf_counter() - start) * 1e3
        self._expected += 1
        shows = counter_of(png) >= self._expected
        if not shows:
            await self.synchronise()
        return milliseconds, shows


async def latencies(
    ways: dict[str, Way], count: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Return the milliseconds of each way, and how many of its pictures did not show the key."""
    taken: dict[str, list[float]] = defaultdict(list)
    missed = dict.fromkeys(ways, 0)
    turns = max(1, count // TURN)
    for turn in range(turns):
        for at, (name, way) in enumerate(ways.items()):
            progress(f"key to PNG: {way.title}", turn * len(ways) + at, turns * len(ways))
            counted = Counted(way.answer, way.chosen)
            await way.answer()  # its own last picture is of its last turn
            await counted.synchronise()
            for _ in range(min(TURN, count)):
                await asyncio.sleep(random.uniform(*PAUSE))
                milliseconds, shows = await counted.press()
                taken[name].append(milliseconds)
                missed[name] += not shows
    return taken, missed


async def stale(way: Way, count: int) -> int:
    """Count the pictures that do not show the key that was pressed just before."""
    counted, found = Counted(way.now, way.chosen), 0
    await counted.synchronise()
    for at in range(count):
        progress(f"pictures without sleeps: {way.title}", at, count)
        await asyncio.sleep(SETTLED)
        found += not (await counted.press())[1]
    return found


async def added(name: str, over_mcp: Press, count: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of calls over MCP, and of the same calls without it, in turns."""
    session = ToolSession(names=frozenset({name}))

    async def without() -> bytes:
        result = await session.call("act", ACT)
        if result.is_error:
            raise RuntimeError(result.text)
        return await asyncio.to_thread(encoded, result)

    taken: tuple[list[float], list[float]] = ([], [])
    try:
        for at in range(count):
            progress("added by MCP", at, count)
            for press, times in zip((over_mcp, without), taken, strict=True):
                await asyncio.sleep(random.uniform(*PAUSE) / 4)
                start = time.perf_counter()
                await press()
                times.append((time.perf_counter() - start) * 1e3)
    finally:
        await session.close()
    return taken


def report(
    taken: dict[str, list[float]], missed: dict[str, int], ways: dict[str, Way]
) -> Iterator[Figure]:
    for name, times in taken.items():
        yield Figure(
            "mcp", f"key and its answer as PNG over MCP, p50: {ways[name].title}",
            percentile(times, 0.5), "ms", None, "",
            f"p95 {percentile(times, 0.95):.1f} ms, {len(times)} presses, {missed[name]} stale",
        )  # fmt: skip
    vnc = [name for name in taken if name in ("asyncvnc", "vncdotool", "mcvnc")]
    for share in (0.5, 0.95):
        ours = percentile(taken["kju"], share)
        if vnc:
            best = min(vnc, key=lambda name: percentile(taken[name], share))
            yield _times(ours, percentile(taken[best], share), ways[best].title, share, 5)
        yield _times(ours, percentile(taken[SCREENDUMP], share), ways[SCREENDUMP].title, share, 2)


def _times(ours: float, theirs: float, peer: str, share: float, least: float) -> Figure:
    what = f"key and its answer over MCP, p{share * 100:.0f}: times lower than {peer}"
    detail = f"{ours:.1f} against {theirs:.1f} ms"
    return Figure("mcp", what, theirs / ours, "x", None, peer, detail, least)


async def measure(rigs: dict[str, Rig]) -> list[Figure]:
    presses, pictures = int(amount("PRESSES", 60)), int(amount("PICTURES", 500))
    async with AsyncExitStack() as stack:
        ways = {"kju": await of_kju(stack, rigs["kju"])}
        for name in PEERS:
            if not missing(name):
                # QEMU serves one client at a time on a QMP socket: the second gets its own QEMU.
                chosen = rigs["none" if name == "screendump-ppm" else "vnc"]
                ways[name] = await of_peer(stack, name, chosen)
        if "vnc-tcp" in rigs:
            ways["mcvnc"] = await of_mcvnc(stack, rigs["vnc-tcp"])
        found = list(report(*await latencies(ways, presses), ways))
        for name, way in ways.items():
            count = pictures if name == "kju" else max(pictures * 2 // 5, 1)
            number = await stale(way, count)
            what = f"pictures that do not show the key, without sleeps: {way.title}"
            limit = 0 if name == "kju" else None
            detail = f"{number} of {count}"
            found.append(Figure("mcp", what, 100 * number / count, "%", limit, "", detail))
        over, without = await added(rigs["kju"].name, ways["kju"].answer, presses)
        plus = percentile(over, 0.5) - percentile(without, 0.5)
        detail = f"{percentile(over, 0.5):.1f} against {percentile(without, 0.5):.1f} ms"
        found.append(Figure("mcp", "added by MCP to a call, p50", plus, "ms", 5, "", detail))
    return found


def figures(folder: str) -> Iterator[Figure]:
    arguments = guests.measured("VGA", via="vram", mode="still", size=SIZE)
    with ExitStack() as stack:
        rigs = {
            "kju": stack.enter_context(rig.of_kju(folder, arguments, "kju-bench-mcp")),
            "vnc": stack.enter_context(rig.of_qemu(folder, arguments, "vnc")),
            "none": stack.enter_context(rig.of_qemu(folder, arguments, "none")),
        }
        if mcvnc():
            rigs["vnc-tcp"] = stack.enter_context(rig.of_qemu(folder, arguments, "vnc-tcp"))
        for chosen in rigs.values():
            chosen.line.tell("still")
            # QEMU notices a new mode when a client makes it draw.
            chosen.keys.command("screendump", filename=str(chosen.folder / "size"))
        yield from asyncio.run(measure(rigs))
