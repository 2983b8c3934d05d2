"""The presence of a fleet on zenoh: 1,000 tokens and event streams behind one router, on loopback.

    python -m benchmarks.fleet_presence hold PLACE NODES EACH
    python -m benchmarks.fleet_presence watch PLACE

The machines are pretended, the router, the sessions and the tokens are the product's: one session
for each node, as a keeper has it, with a token for each of its machines. One watcher follows all
tokens and all events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator

from kju.cli.demo.link import End
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine

from .audience import Side
from .measure import Figure, amount, cpu_share, progress

NODES, EACH = 50, 20
#: Bytes of an event, and seconds between two of one machine.
EVENT, EVERY = 200, 10.0
#: Percent of a core, of the router and of the watcher each.
_LIMIT = 5.0
_KEY = "kju-bench/lab"
_TIMEOUT = 60.0
#: Sessions that are opened at the same time.
_TOGETHER = 10


async def hold(place: str, nodes: int, each: int) -> None:
    """Hold the tokens of machines; send their events from the first line of input on."""
    engines: list[Engine] = []
    for first in range(0, nodes, _TOGETHER):
        count = min(_TOGETHER, nodes - first)
        options = SessionOptions(connect=[endpoint(place)])
        engines += await asyncio.gather(*(Engine.open(options) for _ in range(count)))
    machines = [
        (engine, f"{_KEY}/n{node}/m{machine}")
        for node, engine in enumerate(engines)
        for machine in range(each)
    ]
    for engine, key in machines:
        engine.declare_token(key)
    print("held", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps({}), flush=True)
    data = bytes(EVENT)
    while True:
        begin = time.monotonic()
        for number, (engine, key) in enumerate(machines):
            await asyncio.sleep(begin + EVERY * number / len(machines) - time.monotonic())
            engine.put(f"{key}/events", data)


async def watch(place: str) -> None:
    """Follow all; answer each line of input with the tokens and the events so far."""
    present: set[str] = set()
    events = 0

    def on_presence(key: str, is_present: bool) -> None:
        (present.add if is_present else present.discard)(key)

    def on_event(sample: object) -> None:
        nonlocal events
        events += 1

    engine = await Engine.open(SessionOptions(connect=[endpoint(place)]))
    end = engine.on_presence(f"{_KEY}/**", on_presence)
    # It ends when nothing refers to it.
    subscriber = engine.session.declare_subscriber(f"{_KEY}/*/*/events", on_event)
    print("watching", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"tokens": [len(present)], "events": [events]}), flush=True)
    del subscriber
    end()


def _wait(watcher: Side, done: Callable[[dict[str, list[int]]], bool], what: str) -> float:
    """Return the seconds until the watcher has what is wanted."""
    begin = time.monotonic()
    while not done(watcher.ask()):
        if time.monotonic() - begin > _TIMEOUT:
            raise TimeoutError(f"the watcher does not have {what}")
        time.sleep(0.01)
    return time.monotonic() - begin


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def figures(folder: str) -> Iterator[Figure]:
    seconds, count = amount("SECONDS", 20), NODES * EACH
    here = End((), "127.0.0.1")
    place = f"tcp/{here.address}:{_free_port()}"
    own = "benchmarks.fleet_presence"
    with contextlib.ExitStack() as stack:
        router = Side(stack, here, "-m", "kju.cli", "router", "--listen", place, "--insecure")
        holder = Side(stack, here, "-m", own, "hold", place, str(NODES), str(EACH))
        watcher = Side(stack, here, "-m", own, "watch", place)
        listed = _wait(watcher, lambda found: found["tokens"] == [count], f"{count} tokens")
        yield Figure(
            "fleet_presence", f"{count:,} tokens listed by a new watcher", listed, "s", 1.0, ""
        )
        for what in ("idle", f"an event of {EVENT} bytes of each every {EVERY:.0f} s"):
            progress(f"{count} machines, {what}", 0, 1)
            if what != "idle":
                holder.ask()
                _wait(watcher, lambda found: found["events"][0] > 0, "an event")
            before, begin = watcher.ask()["events"][0], time.monotonic()
            for name, side in (("router", router), ("watcher", watcher)):
                share = cpu_share(side.pid, seconds)
                yield Figure(
                    "fleet_presence", f"the {name}, {count:,} machines, {what}", share,
                    "% of a core", _LIMIT, "", f"load {os.getloadavg()[0]:.1f}",
                )  # fmt: skip
            came = (watcher.ask()["events"][0] - before) / (time.monotonic() - begin)
            if what != "idle":
                yield Figure("fleet_presence", "events received", came, "a second", None, "",
                             f"{count / EVERY:.0f} are sent on a quiet computer")  # fmt: skip


if __name__ == "__main__":
    verb, where, *numbers = sys.argv[1:]
    asyncio.run(hold(where, *map(int, numbers)) if verb == "hold" else watch(where))
