"""Fuzzes QEMU's bytes on a display listener: valid, or a documented error.

See fuzz/README.md for how to run it.
"""

from __future__ import annotations

import random

import harness
import numpy as np

with harness.instrumented():
    from kju.errors import PeerError
    from kju.sources.display1 import messages
    from kju.sources.display1.frames import Splitter
    from kju.sources.display1.listener import DisplayListener, Mistake
    from kju.sources.display1.presenter import Presenter
    from kju.surface import surface_size
    from kju.surface.producer import Producer

CAPACITY = 1 << 16
MEMORY = np.zeros(surface_size(CAPACITY), np.uint8)


def seeds() -> list[bytes]:
    """Return one message of each kind that a listener accepts."""
    path, plain, mapped = messages.LISTENER_PATH, messages.LISTENER, messages.LISTENER_MAP
    code = 0x20020888
    calls = [
        messages.get_properties(path, plain),
        messages.get_property(path, plain, "Interfaces"),
        messages.call(path, plain, "Scanout", "uuuuay", 4, 2, 16, code, bytes(32)),
        messages.call(path, plain, "Update", "iiiiuuay", 1, 1, 2, 1, 8, code, bytes(8)),
        messages.call(path, plain, "CursorDefine", "iiiiay", 2, 1, 0, 0, bytes(8)),
        messages.call(path, plain, "MouseSet", "iii", 1, 2, 1),
        messages.call(path, plain, "Disable"),
        messages.call(path, mapped, "ScanoutMap", "huuuuu", 0, 0, 4, 2, 16, code),
        messages.call(path, mapped, "UpdateMap", "iiii", 0, 0, 2, 2),
        messages.call(path, plain, "Odd", "a{sv}", {"Width": ("u", 1)}),
    ]
    return [messages.serialise(call, number + 1)[0] for number, call in enumerate(calls)]


def one_input(data: bytes) -> None:
    """Feed bytes to a source in two parts."""
    splitter, listener = Splitter(limit=1 << 20), DisplayListener()
    MEMORY[:4096] = 0
    presenter = Presenter(Producer.format(MEMORY.data, CAPACITY, incarnation=1))
    middle = len(data) // 2
    for part in (data[:middle], data[middle:]):
        try:
            got = splitter.receive_data(part)
        except PeerError:
            return
        for message in got:
            for event in listener.receive(message).events:
                if isinstance(event, Mistake) or hasattr(event, "fd"):
                    continue
                try:
                    presenter.handle(event, 0.0)
                except PeerError:
                    continue
    presenter.publish(1.0)


def invent(source: random.Random) -> bytes:
    """Return a few messages with a few bytes changed."""
    data = bytearray(b"".join(source.choices(SEEDS, k=source.randint(1, 4))))
    for _ in range(source.randint(0, 6)):
        place = source.randrange(len(data))
        if source.random() < 0.7:
            data[place] = source.choice((0, 1, 4, 0x7F, 0x80, 0xFF, source.randrange(256)))
        elif source.random() < 0.5:
            del data[place : place + source.randint(1, 8)]
        else:
            data[place:place] = source.randbytes(source.randint(1, 8))
        data = data or bytearray(b"l")
    return bytes(data)


SEEDS = seeds()

if __name__ == "__main__":
    harness.run(one_input, SEEDS, invent)
