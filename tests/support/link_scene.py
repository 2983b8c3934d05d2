"""A served screen and its viewers over zenoh on this computer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import numpy as np

from kju.errors import InputError
from kju.remote.addresses import SessionOptions, Tls, endpoint
from kju.remote.transport import Engine
from kju.serving.carrier import ServedViewer
from kju.serving.served_screen import CarryOut, ServedScreen
from kju.serving.zenoh_carrier import ZenohCarrier
from kju.surface.consumer import Consumer
from kju.surface.producer import Producer
from kju.wire.greeting import Admission, Admit
from kju.wire.messages import InputDone

from .wire_scene import surface

NAME = "lab/host1/debian"


def free_port() -> int:
    """Reserve a TCP port of this computer for this process, and return it.

    The socket stays bound, so that no other process gets the port. zenoh can still listen on it,
    as both sockets have SO_REUSEADDR.
    """
    sock = socket.socket()
    _reserved.append(sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    return int(sock.getsockname()[1])


_reserved: list[socket.socket] = []


class Screen:
    """A screen that the test changes."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.consumer = Consumer(producer.memory)  # type: ignore[attr-defined]
        self.changed: Callable[[], None] = lambda: None
        self.looks, self.is_open = 0, False
        self.rates: list[float | None] = []

    async def open(self, changed: Callable[[], None]) -> None:
        self.changed, self.looks, self.is_open = changed, self.looks + 1, True

    async def set_rate(self, rate: float | None) -> None:
        self.rates.append(rate)

    def close(self) -> None:
        self.changed, self.is_open = lambda: None, False

    def draw(self, rng: np.random.Generator) -> None:
        pixels = self.producer.pixels.copy()
        x, y = int(rng.integers(200)), int(rng.integers(100))
        pixels[y : y + 60, x : x + 60] = rng.integers(0, 256, (60, 60, 4))
        self.producer.compare(np.ascontiguousarray(pixels))
        self.changed()


class Ends(NamedTuple):
    """Both ends of a link.

    Attributes:
        here: The sender's engine, which listens.
        there: The viewers' engine, which connects.
        served: The screen that the sender serves.
    """

    here: Engine
    there: Engine
    served: ServedScreen


#: The fixture `open_link`: a screen, and as `outlet` takes them who is admitted and what acts.
OpenLink = Callable[..., Awaitable[Ends]]


def shows(target: Producer, screen: Screen) -> bool:
    mine, theirs = target.pixels, screen.producer.pixels
    return mine.shape == theirs.shape and np.array_equal(mine[..., :3], theirs[..., :3])


async def act(viewer: ServedViewer, body: bytes) -> InputDone:
    if body == b"never":
        await asyncio.sleep(60)
    if body == b"no":
        raise InputError("the guest takes nothing")
    return InputDone(1, 1, 5)


@contextlib.asynccontextmanager
async def engine(
    *, datagrams: bool | None = None, tls: Tls | None = None, **options: list[str]
) -> AsyncIterator[Engine]:
    places = {name: [endpoint(each) for each in value] for name, value in options.items()}
    made = await Engine.open(SessionOptions(**places, datagrams=datagrams, tls=tls))
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def outlet(
    where: Engine, screen: Screen,
    admit: Admit = lambda h, raw: Admission(h.role), act: CarryOut = act,
) -> AsyncIterator[ServedScreen]:  # fmt: skip
    made = ServedScreen(ZenohCarrier(where, NAME), screen, admit, act)
    made.open()
    try:
        yield made
    finally:
        made.close("the sender has ended")


def new_screen() -> Screen:
    producer = surface()
    producer.set_mode(320, 240)
    return Screen(producer)
