"""A viewer of the animation of ages.py, at the far end of a link.

    python -m benchmarks.far_watch kju PLACE SECONDS
    python -m benchmarks.far_watch tight HOST:PORT SECONDS      or zrle, tigervnc

Prints the readings as JSON: see ages.Look.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import numpy as np

from kju.memory import SurfaceProducer
from kju.remote.addresses import SessionOptions, endpoint
from kju.remote.mirror import Mirror
from kju.remote.transport import Engine
from kju.surface import NOTHING_TAKEN
from kju.surface.consumer import Consumer

from .ages import HEIGHT, WIDTH, Ages
from .far_screen import NAME
from .far_viewer import FarVnc

#: Seconds between two readings of memory that announces no changes.
LOOK = 0.002


async def of_kju(place: str, seconds: float) -> Ages:
    target = SurfaceProducer.create("memfd:kju-bench-mirror", capacity=WIDTH * HEIGHT * 4)
    reader = Consumer(target.memory.mapping)
    ages, mark = Ages(), NOTHING_TAKEN

    def drawn() -> None:
        nonlocal mark
        change = reader.changes(mark)
        mark = change.mark
        ages.look(target.pixels, change.rects)

    engine = await Engine.open(SessionOptions(connect=[endpoint(place)]))
    inlet = Mirror(engine, NAME, target, on_drawn=drawn)
    await inlet.open(20)
    await asyncio.sleep(seconds)
    inlet.close()
    await engine.close()
    return ages


class Watched(FarVnc):
    """Collects the rectangles that each message changes."""

    def __init__(self, host: str, port: str, option: str) -> None:
        self.changed: list[tuple[int, int, int, int]] = []
        super().__init__({"host": host, "port": port}, option)

    def _rectangle(self, area: int) -> int:
        area = super()._rectangle(area)
        if area >= 0:
            self.changed.append(self.last)
        return area


def of_vnc(option: str, host: str, port: str, seconds: float) -> Ages:
    ages, viewer = Ages(), Watched(host, port, option)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ages.look(viewer.look(), viewer.changed)
        viewer.changed.clear()
        viewer.wait()
    return ages


def of_tigervnc(host: str, port: str, seconds: float) -> Ages:
    from .tiger import tiger

    ages, before = Ages(), np.zeros((), np.int64)
    with tiger(host, int(port), WIDTH, HEIGHT) as viewer:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = ages.compare(before, viewer.pixels)
            time.sleep(LOOK)
    return ages


if __name__ == "__main__":
    way, place, length = sys.argv[1], sys.argv[2], float(sys.argv[3])
    if way == "kju":
        found = asyncio.run(of_kju(place, length))
    else:
        host, _, port = place.rpartition(":")
        found = of_tigervnc(host, port, length) if way == "tigervnc" else (
            of_vnc(way, host, port, length))  # fmt: skip
    print(json.dumps(found.looks))
