"""A screen that changes everywhere continuously, served at one end of a link: see ages.py.

python -m benchmarks.far_screen PLACE SECONDS
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

from kju.memory import SurfaceProducer
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.transport import Engine
from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import ServedScreen
from kju.serving.zenoh_carrier import ZenohCarrier
from kju.surface.consumer import Consumer
from kju.wire.greeting import Admission
from kju.wire.messages import InputDone

from .ages import HEIGHT, RATE, WIDTH, draw, gradient

NAME = "bench/animation"


class Animation:
    """The screen: frame n is drawn at n / rate seconds of the computer's clock."""

    def __init__(self, rate: float = RATE) -> None:
        self._rate = rate
        self.producer = SurfaceProducer.create("memfd:kju-bench-far", capacity=WIDTH * HEIGHT * 4)
        self.producer.set_mode(WIDTH, HEIGHT)
        self.consumer = Consumer(self.producer.memory.mapping)
        self._changed: Callable[[], None] = lambda: None
        self._gradient = gradient()

    async def open(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    async def set_rate(self, rate: float | None) -> None:
        """Draw at the same rate for every viewer."""

    def close(self) -> None:
        self._changed = lambda: None

    async def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            number = int(now * self._rate)
            self.producer.begin()
            draw(self.producer.pixels, self._gradient, number)
            self.producer.publish([(0, 0, WIDTH, HEIGHT)])
            self._changed()
            await asyncio.sleep(max(0.0, (number + 1) / self._rate - time.monotonic()))


async def serve(place: str, seconds: float) -> None:
    async def act(viewer: ServedViewer, body: bytes) -> InputDone:
        return InputDone(1)

    animation = Animation()
    engine = await Engine.open(SessionOptions(listen=[endpoint(place)]))
    outlet = ServedScreen(
        ZenohCarrier(engine, NAME), animation, lambda hello, raw: Admission(hello.role), act
    )
    outlet.open()
    print("serving", flush=True)
    await animation.run(seconds)
    outlet.close("over")
    await engine.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
