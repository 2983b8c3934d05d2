"""A wall of remote tiles across a slow link: newest pictures, bounded memory, the round trip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import namespaces
from support.wait import HANG

from kju.cli.demo.link import End, Shape, SimulatedLink

pytest.importorskip("zenoh")
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="namespaces need root")
SLOW = Shape(rate=1e6, delay=0.1)
TILES = 12
#: Colours of a picture that changes in each of its parts, 20 times a second, until a line is read.
SENDER = """
import asyncio, sys
import numpy as np
from kju.memory import SurfaceProducer
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine
from kju.serving.served_screen import ServedScreen
from kju.serving.zenoh_carrier import ZenohCarrier
from kju.surface.consumer import Consumer
from kju.wire.greeting import Admission

class Screen:
    def __init__(self):
        self.producer = SurfaceProducer.create("memfd:far", capacity=640 * 400 * 4)
        self.producer.set_mode(640, 400)
        self.consumer = Consumer(self.producer.memory.mapping)
        self.changed = lambda: None
    async def open(self, changed):
        self.changed = changed
    async def set_rate(self, rate):
        pass
    def close(self):
        self.changed = lambda: None
    def draw(self, picture):
        self.producer.begin()
        self.producer.pixels[..., :3] = picture
        self.producer.publish([(0, 0, 640, 400)])
        self.changed()

async def main(place, count):
    engine = await Engine.open(SessionOptions(listen=[endpoint(place)]))
    screens = [Screen() for _ in range(count)]
    async def act(viewer, body):
        raise AssertionError
    admit = lambda hello, raw: Admission("view")
    for number, screen in enumerate(screens):
        ServedScreen(ZenohCarrier(engine, f"lab/m{number}"), screen, admit, act).open()
    print("serving", flush=True)
    rng, loop = np.random.default_rng(1), asyncio.get_running_loop()
    stop = loop.run_in_executor(None, sys.stdin.readline)
    while not stop.done():
        for screen in screens:
            screen.draw(np.repeat(rng.integers(0, 256, (400, 80, 3), np.uint8), 8, axis=1))
        await asyncio.sleep(0.05)
    for screen in screens:
        screen.draw(np.array([96, 64, 32], np.uint8))
    await loop.run_in_executor(None, sys.stdin.readline)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""
WALL = """
import json, sys, time
from pathlib import Path
from kju.desktop.machines.entry import MachineKey
from kju.desktop.machines.remote_addresses import RemoteAddress
from kju.desktop.machines.remote_machines import RemoteMachines
from kju.desktop.wall.remote_tiles import RemoteTiles, RemoteView

where, names, entries = sys.argv[1], [f"lab/m{n}" for n in range(int(sys.argv[2]))], {}
tiles = RemoteTiles(lambda key: None, lambda key, news: None)
remotes = RemoteMachines(
    lambda call: call(), lambda entry: entries.update({entry.key: entry}),
    lambda key: entries.pop(key, None), Path(sys.argv[3]), user=tiles,
)
assert not remotes.add(RemoteAddress(where, insecure=True))
keys = [MachineKey(where, name) for name in names]
while not set(keys) <= set(entries):
    time.sleep(0.05)
tiles.show(RemoteView(frozenset(keys), size=(64, 40)))
print("showing", flush=True)
for line in sys.stdin:
    pictures = [tiles.tile(key).picture for key in keys]
    print(json.dumps({
        "colours": [None if p is None else p.pixels[20, 30, :3].tolist() for p in pictures],
        "versions": [0 if p is None else p.version for p in pictures],
        "trip": max(entry.round_trip or 0 for entry in entries.values()),
        "bytes": 4096 * int(Path("/proc/self/statm").read_text().split()[1]),
    }), flush=True)
remotes.close()
tiles.close()
"""


@pytest.fixture
def link() -> Iterator[SimulatedLink]:
    namespaces.need()
    with SimulatedLink(SLOW) as made:
        yield made


class Program:
    """A Python program at one end of the link."""

    def __init__(self, end: End, source: str, *words: str) -> None:
        command = [*end.before, sys.executable, "-c", source, *words]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def write(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ask(self) -> dict[str, Any]:
        self.write()
        found: dict[str, Any] = json.loads(self.read())
        return found

    def end(self) -> int:
        """Close its input, and return its status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(HANG)


def test_tiles_across_a_slow_link_keep_the_newest_picture(
    link: SimulatedLink, tmp_path: Path
) -> None:
    place = f"tcp/{link.one.address}:7447"
    sender = Program(link.one, SENDER, place, str(TILES))
    wall: Program | None = None
    try:
        assert sender.read() == "serving"
        wall = Program(link.other, WALL, place, str(TILES), str(tmp_path))
        assert wall.read() == "showing"
        began = time.monotonic()
        # All twelve change far faster than the link carries, and each gets pictures.
        while not min((found := wall.ask())["versions"]) >= 2:
            assert time.monotonic() < began + HANG, found
            time.sleep(0.1)
        assert found["trip"] >= 2 * SLOW.delay
        used = found["bytes"]
        sender.write()
        began = time.monotonic()
        while (found := wall.ask())["colours"] != [[96, 64, 32]] * TILES:
            assert time.monotonic() < began + HANG, found
            time.sleep(0.05)
        print(f"all newest after {time.monotonic() - began:.1f} s, {used / 1e6:.0f} MB")
        assert found["bytes"] < used + (32 << 20)
        assert wall.end() == 0
    finally:
        for program in filter(None, (wall, sender)):
            program.process.kill()
            with program.process:  # close its pipes, and wait
                pass
