"""An audience of a screen that moves everywhere: the sender at one end of a link, or the viewers.

    python -m benchmarks.far_audience serve PLACE RATE
    python -m benchmarks.far_audience view PLACE COUNT

PLACE is a router's. One viewer is complete: it decodes, shows, and acknowledges for the audience.
The others are sessions that receive the messages of the audience without reading them, each with
its own connection: for the router they are viewers.
"""

from __future__ import annotations

import asyncio
import json
import sys

from kju.memory import SurfaceProducer
from kju.remote import addresses
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.mirror import Mirror
from kju.remote.transport import Engine
from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import ServedScreen
from kju.serving.zenoh_carrier import ZenohCarrier
from kju.wire.greeting import Admission
from kju.wire.messages import InputDone

from .ages import HEIGHT, WIDTH
from .far_screen import NAME, Animation

#: Number of sessions that are opened at the same time.
TOGETHER = 10


async def serve(place: str, rate: float) -> None:
    async def act(viewer: ServedViewer, body: bytes) -> InputDone:
        return InputDone(1)

    animation = Animation(rate)
    engine = await Engine.open(SessionOptions(connect=[endpoint(place)]))
    outlet = ServedScreen(
        ZenohCarrier(engine, NAME), animation, lambda hello, raw: Admission("view"), act
    )
    outlet.open()
    print("serving", flush=True)
    await animation.run(3600)


class Taker:
    """Counts received messages in zenoh's own thread, without cost for an event loop."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0

    async def open(self, place: str) -> None:
        self._engine = await Engine.open(SessionOptions(connect=[endpoint(place)]))
        key = addresses.to_audience(NAME, "*")
        self._declared = self._engine.session.declare_subscriber(key, self._came)

    def _came(self, sample: object) -> None:
        self.messages += 1
        self.bytes += len(sample.payload)  # type: ignore[attr-defined]


async def view(place: str, count: int) -> None:
    target = SurfaceProducer.create("memfd:kju-bench-mirror", capacity=WIDTH * HEIGHT * 4)
    drawn = 0

    def draw() -> None:
        nonlocal drawn
        drawn += 1

    engine = await Engine.open(SessionOptions(connect=[endpoint(place)]))
    inlet = Mirror(engine, NAME, target, "view", audience=True, on_drawn=draw)
    await inlet.open(20)
    takers = [Taker() for _ in range(count - 1)]
    for first in range(0, len(takers), TOGETHER):
        await asyncio.gather(*(each.open(place) for each in takers[first : first + TOGETHER]))
    print("open", flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps({"drawn": drawn, "bytes": [each.bytes for each in takers],
                          "messages": [each.messages for each in takers]}), flush=True)  # fmt: skip


if __name__ == "__main__":
    what, where, number = sys.argv[1:]
    asyncio.run(serve(where, float(number)) if what == "serve" else view(where, int(number)))
