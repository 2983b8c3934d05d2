"""A screen that changes everywhere all the time, served at one end of a link; or its viewer.

    python -m benchmarks.far_screen serve PLACE SECONDS
    python -m benchmarks.far_screen view PLACE SECONDS

Every pixel of frame n has n in its blue and green, and a gradient that moves in its red, so that
each tile says which frame it is of. The viewer prints the milliseconds since a tile's frame was
drawn, at the moment when it is shown, of the oldest tile of each publication.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable

import numpy as np

from kju.consumer import Consumer
from kju.memory import SurfaceProducer
from kju.remote.audience import Viewer
from kju.remote.engine import Engine
from kju.remote.inlet import Inlet
from kju.remote.options import Options, endpoint
from kju.remote.outlet import Outlet
from kju.surface import NOTHING_TAKEN
from kju.wire.messages import Done
from kju.wire.sender import Admission

WIDTH, HEIGHT, RATE = 1280, 800, 33
NAME = "bench/animation"


class Animation:
    """The screen: frame n is drawn at n / RATE seconds of the computer's clock."""

    def __init__(self) -> None:
        self.producer = SurfaceProducer.create("memfd:kju-bench-far", capacity=WIDTH * HEIGHT * 4)
        self.producer.set_mode(WIDTH, HEIGHT)
        self.consumer = Consumer(self.producer.segment.mapping)
        self._changed: Callable[[], None] = lambda: None
        across = np.arange(WIDTH, dtype=np.uint32)[None, :] // 5
        down = np.arange(HEIGHT, dtype=np.uint32)[:, None] // 3
        self._gradient = (across + down).astype(np.uint8)

    async def open(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def close(self) -> None:
        self._changed = lambda: None

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            number = int(now * RATE)
            pixels = self.producer.pixels
            self.producer.begin()
            pixels[..., 0], pixels[..., 1] = number & 255, number >> 8 & 255
            pixels[..., 2] = self._gradient + np.uint8(number & 255)
            self.producer.publish([(0, 0, WIDTH, HEIGHT)])
            self._changed()
            await asyncio.sleep(max(0.0, (number + 1) / RATE - time.monotonic()))


async def serve(place: str, seconds: float) -> None:
    async def act(viewer: Viewer, body: bytes) -> Done:
        return Done(1)

    animation = Animation()
    engine = await Engine.open(Options(listen=[endpoint(place)]))
    outlet = Outlet(engine, NAME, animation, lambda hello: Admission(hello.role), act)
    outlet.open()
    print("serving", flush=True)
    await animation.run(seconds)
    print(json.dumps({"bytes": outlet.sent}), flush=True)
    outlet.close("over")
    await engine.close()


async def view(place: str, seconds: float) -> None:
    target = SurfaceProducer.create("memfd:kju-bench-mirror", capacity=WIDTH * HEIGHT * 4)
    reader = Consumer(target.segment.mapping)
    ages: list[float] = []
    mark = NOTHING_TAKEN

    def drawn() -> None:
        nonlocal mark
        now, change = time.monotonic(), reader.changes(mark)
        mark = change.mark
        oldest = 0.0
        for x, y, _, _ in change.rects:
            blue, green = (int(each) for each in target.pixels[y, x, :2])
            behind = (int(now * RATE) - (blue | green << 8)) & 0xFFFF
            if blue | green:
                oldest = max(oldest, behind + now * RATE % 1)
        if oldest:
            ages.append(1000 * oldest / RATE)

    engine = await Engine.open(Options(connect=[endpoint(place)]))
    inlet = Inlet(engine, NAME, target, drawn=drawn)
    await inlet.open(20)
    await asyncio.sleep(seconds)
    print(json.dumps({"ages": ages, "bytes": inlet.received}), flush=True)
    inlet.close()
    await engine.close()


if __name__ == "__main__":
    what, place, seconds = sys.argv[1:]
    asyncio.run((serve if what == "serve" else view)(place, float(seconds)))
