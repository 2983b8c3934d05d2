"""A viewer at the far end of a link, in its own process: presses a key, waits for its pixels.

    python -m benchmarks.far_viewer kju ADDRESS PLACE COUNT
    python -m benchmarks.far_viewer tight HOST PORT COUNT       or zrle, tigervnc, vncdotool
    python -m benchmarks.far_viewer idle ADDRESS PLACE 0        has a picture, and does nothing

Prints one line of milliseconds, from the press to the changed pixels; negative if they did not
change within `PATIENCE`.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

import kju
from kju.errors import WaitTimeoutError

from .measure import amount
from .peers import Place
from .peers.vnc import Vnc

PATIENCE = 10.0
#: Seconds between two presses, as when a user edits text.
BETWEEN = (0.25, 0.6)
#: Place of the guest's squares; a key changes one of them.
ROWS, COLUMNS = 256, 192
#: Seconds between two readings of memory that announces no changes.
LOOK = 0.0005


def pauses(count: int) -> list[float]:
    """Yield the pause before each press; the first is not counted: a first call imports modules."""
    rng, times = random.Random(1), amount("PAUSES", 1)
    return [times * rng.uniform(*BETWEEN) for _ in range(count + 1)]


def of_kju(address: str, place: str, count: int) -> list[float]:
    took = []
    with kju.mirror(address, connect=[place], insecure=True) as mirror:
        mirror.screen.frame()
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
    return took[1:]


def idle(address: str, place: str) -> None:
    """Run a viewer until it is killed; print a line when it has a picture."""
    with kju.mirror(address, connect=[place], insecure=True) as mirror:
        mirror.screen.frame()
        print("open", flush=True)
        signal.pause()


class FarVnc(Vnc):
    """The same client, over TCP."""

    def _connect(self, place: Place) -> socket.socket:
        made = socket.create_connection((place["host"], int(place["port"])), 20)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(PATIENCE)
        return made


def turns(
    count: int,
    look: Callable[[], np.ndarray],
    wait: Callable[[], object],
    key: Callable[[bool], object],
) -> Iterator[float]:
    """Press *count* times, each time until the change is seen; yield milliseconds."""
    for number, pause in enumerate(pauses(count)):
        time.sleep(pause)
        before, began = look().copy(), time.monotonic()
        key(True)
        taken = 0.0
        try:
            while np.array_equal(look(), before) and taken < PATIENCE:
                wait()
                taken = time.monotonic() - began
        except TimeoutError:
            taken = PATIENCE
        key(False)
        if number:
            yield 1000 * taken if taken < PATIENCE else -1.0


def of_vnc(option: str, host: str, port: str, count: int) -> list[float]:
    viewer = FarVnc({"host": host, "port": port}, option)
    return list(turns(count, lambda: viewer.look()[:ROWS, :COLUMNS], viewer.wait, viewer.key))


def of_tigervnc(option: str, host: str, port: str, count: int) -> list[float]:
    from .tiger import tiger

    with tiger(host, int(port), 1280, 800) as viewer:
        time.sleep(2)  # it sends its settings to the server a second time
        look = viewer.pixels[:ROWS, :COLUMNS]
        return list(turns(count, lambda: look, lambda: time.sleep(LOOK), viewer.key))


def of_vncdotool(option: str, host: str, port: str, count: int) -> list[float]:
    from vncdotool import api

    client = api.connect(f"{host}::{port}", timeout=60)
    client.refreshScreen()

    def look() -> np.ndarray:
        return np.asarray(client.screen.crop((0, 0, COLUMNS, ROWS)))

    def key(down: bool) -> None:
        (client.keyDown if down else client.keyUp)("a")

    client.timeout = PATIENCE
    found = list(turns(count, look, lambda: client.refreshScreen(incremental=True), key))
    client.disconnect()
    api.shutdown()
    return found


WAYS = {"tight": of_vnc, "zrle": of_vnc, "tigervnc": of_tigervnc, "vncdotool": of_vncdotool}


if __name__ == "__main__":
    way, one, two, count = sys.argv[1:]
    if way == "idle":
        idle(one, two)
    elif way == "kju":
        print(json.dumps(of_kju(one, two, int(count))))
    else:
        print(json.dumps(WAYS[way](way, one, two, int(count))))
