"""A viewer at the far end of a link, in a process of its own: presses a key, waits for its pixels.

    python -m benchmarks.far_viewer kju ADDRESS PLACE COUNT
    python -m benchmarks.far_viewer tight HOST PORT COUNT

Prints one line of milliseconds, from the press to the changed pixels being there; negative where
nothing came in `PATIENCE`.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import sys
import time

import numpy as np

import kju
from kju.errors import WaitTimeoutError

from .peers import Place
from .peers.vnc import Vnc

PATIENCE = 10.0
#: Seconds between two presses: as somebody edits a text.
BETWEEN = (0.25, 0.6)
KEYSYM = ord("a")


def pauses(count: int) -> list[float]:
    rng = random.Random(1)
    return [rng.uniform(*BETWEEN) for _ in range(count)]


def of_kju(address: str, place: str, count: int) -> list[float]:
    took = []
    with kju.mirror(address, connect=[place], insecure=True) as mirror:
        mirror.screen.snapshot()
        for pause in pauses(count):
            time.sleep(pause)
            mark, began = mirror.screen.mark, time.monotonic()
            mirror.keyboard.press("a")
            try:
                mirror.screen.wait(mark, timeout=PATIENCE)
                took.append(1000 * (time.monotonic() - began))
            except WaitTimeoutError:
                took.append(-1.0)
            mirror.keyboard.release("a")
    return took


class FarVnc(Vnc):
    """The same client, over TCP, that can press keys."""

    def _connect(self, place: Place) -> socket.socket:
        made = socket.create_connection((place["host"], int(place["port"])), 20)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(PATIENCE)
        return made

    def key(self, down: bool) -> None:
        self._send(struct.pack(">BBxxI", 4, down, KEYSYM))


def of_vnc(option: str, host: str, port: str, count: int) -> list[float]:
    took = []
    viewer = FarVnc({"host": host, "port": port}, option)
    for pause in pauses(count):
        time.sleep(pause)
        before, began = viewer.look()[:256, :192].copy(), time.monotonic()
        viewer.key(True)
        try:
            while np.array_equal(viewer.look()[:256, :192], before):
                viewer.wait()
            took.append(1000 * (time.monotonic() - began))
        except TimeoutError:
            took.append(-1.0)
        viewer.key(False)
    return took


if __name__ == "__main__":
    way, one, two, count = sys.argv[1:]
    found = of_kju(one, two, int(count)) if way == "kju" else of_vnc(way, one, two, int(count))
    print(json.dumps(found))
