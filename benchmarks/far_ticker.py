"""A screen that changes as fast as possible, served at one end of a link; or its viewer.

    python -m benchmarks.far_ticker serve PLACE
    python -m benchmarks.far_ticker view PLACE

The sender reads lines of two numbers: the number of small changes to publish, and their rate per
second. It prints the duration and the checksum of the picture as JSON. After each change, the
viewer prints the time and the checksum of the shown picture.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zlib
from collections.abc import Callable

import numpy as np

from kju.memory import SurfaceProducer
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.mirror import Mirror
from kju.remote.transport import Engine
from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import ServedScreen
from kju.serving.zenoh_carrier import ZenohCarrier
from kju.surface.consumer import Consumer
from kju.wire.greeting import Admission
from kju.wire.messages import InputDone

WIDTH, HEIGHT = 1280, 800
NAME = "bench/ticker"
#: Side of a change, pixels.
SIDE = 16
#: Publications between two readings of the sender at a high rate. A host's thread that a futex
#: wakes finds about as many.
TOGETHER, HIGH_RATE = 32, 1000
#: Middle of the square that an input changes: no other change is in its row.
KEY = (SIDE // 2, HEIGHT - SIDE // 2)


class Ticker:
    """The screen."""

    def __init__(self) -> None:
        self.producer = SurfaceProducer.create("memfd:kju-bench-far", capacity=WIDTH * HEIGHT * 4)
        self.producer.set_mode(WIDTH, HEIGHT)
        self.consumer = Consumer(self.producer.memory.mapping)
        self._changed: Callable[[], None] = lambda: None
        self._number = 0

    async def open(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    async def set_rate(self, rate: float | None) -> None:
        """Draw at the same rate for every viewer."""

    def close(self) -> None:
        self._changed = lambda: None

    async def run(self, count: int, rate: float = 1e9) -> None:
        """Publish changes, with a maximum rate per second."""
        began = time.monotonic()
        across, down = WIDTH // SIDE, HEIGHT // SIDE - 1
        together = TOGETHER if rate > HIGH_RATE else 1
        for step in range(count):
            self._number = number = self._number + 1
            x, y = SIDE * (number % across), SIDE * (number // across % down)
            self._publish(x, y, (number & 255, number >> 8 & 255, 128))
            if step % together == 0:
                self._changed()
                await asyncio.sleep(max(0.0, began + step / rate - time.monotonic()))
        self._changed()

    def press(self) -> None:
        """Change the square of `KEY`."""
        x, y = (place - SIDE // 2 for place in KEY)
        self._publish(x, y, (255 - int(self.producer.pixels[y, x, 0]),) * 3)
        self._changed()

    async def follow(self, viewers: Callable[[], int]) -> None:
        """Publish as the lines of standard input say, until its end."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            began = time.monotonic()
            count, rate = line.split()
            await self.run(int(count), float(rate))
            said = {"seconds": time.monotonic() - began,
                    "checksum": checksum(self.producer.pixels), "viewers": viewers()}  # fmt: skip
            print(json.dumps(said), flush=True)

    def _publish(self, x: int, y: int, colour: tuple[int, int, int]) -> None:
        self.producer.begin()
        self.producer.pixels[y : y + SIDE, x : x + SIDE, :3] = colour
        self.producer.publish([(x, y, SIDE, SIDE)])


def checksum(pixels: np.ndarray) -> int:
    """Return a checksum, row by row: a copy would exceed the sender's memory for a viewer."""
    found = 0
    for row in pixels:
        found = zlib.crc32(row[:, :3].tobytes(), found)
    return found


async def serve(place: str) -> None:
    async def act(viewer: ServedViewer, body: bytes) -> InputDone:
        return InputDone(1)

    ticker = Ticker()
    engine = await Engine.open(SessionOptions(listen=[endpoint(place)]))
    outlet = ServedScreen(
        ZenohCarrier(engine, NAME), ticker, lambda hello, raw: Admission(hello.role), act
    )
    outlet.open()
    print("serving", flush=True)
    await ticker.follow(lambda: len(outlet.registry.all()))
    outlet.close("over")
    await engine.close()


async def view(place: str) -> None:
    target = SurfaceProducer.create("memfd:kju-bench-mirror", capacity=WIDTH * HEIGHT * 4)

    def drawn() -> None:
        at = time.monotonic()
        print(json.dumps([at, checksum(target.pixels)]), flush=True)

    engine = await Engine.open(SessionOptions(connect=[endpoint(place)]))
    inlet = Mirror(engine, NAME, target, on_drawn=drawn)
    await inlet.open(20)
    await asyncio.to_thread(sys.stdin.read)
    inlet.close()
    await engine.close()


if __name__ == "__main__":
    asyncio.run((serve if sys.argv[1] == "serve" else view)(sys.argv[2]))
