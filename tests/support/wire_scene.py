"""A screen, its sender, and viewers behind links that lose, repeat and reorder messages."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kju.errors import PeerError
from kju.surface import surface_size
from kju.surface.consumer import Consumer
from kju.surface.geometry import Rect
from kju.surface.producer import Producer
from kju.wire import messages
from kju.wire.encoder import Encoder
from kju.wire.greeting import Admission, Admit, Proven
from kju.wire.receiver_session import ReceiverSession
from kju.wire.seal import KeyExchange
from kju.wire.sender_session import SenderSession

#: Seconds between two looks of the scene's clock.
TICK = 0.001


def surface(capacity: int = 1 << 20, *, incarnation: int = 7, tile: int = 32) -> Producer:
    """A surface on a bytearray; its consumer is made of the same memory."""
    memory = bytearray(surface_size(capacity, tile=tile, max_side=2048))
    producer = Producer.format(memory, capacity, incarnation=incarnation, tile=tile, max_side=2048)
    producer.memory = memory  # type: ignore[attr-defined]
    return producer


@dataclass
class Link:
    """A link that loses, repeats or delays a share of the numbered messages.

    Other messages are delivered reliably and in order.
    """

    lost: float = 0
    repeated: float = 0
    overtaken: float = 0
    delay: float = 0
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    waiting: list[tuple[float, int, bytes]] = field(default_factory=list)
    bytes: int = 0
    count: int = 0

    def put(self, message: messages.WireMessage, now: float, data: bytes = b"") -> None:
        data = data or messages.encode(message)
        self.bytes += len(data)
        times, late = 1, 0.0
        if isinstance(message, messages.Numbered | messages.Ack):
            times = 0 if self.rng.random() < self.lost else 1
            times += self.rng.random() < self.repeated
            late = 3 * TICK if self.rng.random() < self.overtaken else 0
        for again in range(times):
            self.count += 1
            self.waiting.append((now + self.delay + late + again * TICK, self.count, data))

    def take(self, now: float) -> list[bytes]:
        due = sorted(each for each in self.waiting if each[0] <= now)
        self.waiting = [each for each in self.waiting if each[0] > now]
        return [data for _, _, data in due]


class Viewer:
    """One viewer: both ends of its session, and the links between them."""

    def __init__(self, scene: Scene, down: Link, up: Link, **hello: Any) -> None:
        self.target = hello.pop("target", None) or surface(scene.producer.capacity)
        self.receiver = ReceiverSession(self.target, keep=hello.pop("keep", False))
        self.sender = SenderSession(scene.encoder, scene.consumer, scene.admit)
        self.down, self.up = down, up
        self.asleep = False
        self.strange = 0
        self.said: list[Any] = []
        self.inputs: list[messages.ViewerInput] = []
        self.receiver.start(hello.pop("role", "control"), **hello)

    def turn(self, now: float) -> bool:
        """Deliver all messages that are due; return whether there were some."""
        did = False
        for message in self._opened(self.up.take(now), self.sender):
            did = True
            self.inputs += self.sender.receive(message, now)
        for message in self.sender.to_send(now):
            self.down.put(message, now, self.sender.encode(message))
        while message := self.sender.next_message(now):
            did = True
            self.down.put(message, now, self.sender.encode(message))
            if isinstance(message, messages.Ping):
                break
        if self.asleep:
            return did
        for message in self._opened(self.down.take(now), self.receiver):
            did = True
            said = self.receiver.receive(message, now)
            self.said += [said] if said is not None else []
        for message in self.receiver.to_send():
            did = True
            self.up.put(message, now, self.receiver.encode(message))
        return did or bool(self.down.waiting or self.up.waiting)

    def _opened(self, came: list[bytes], side: Any) -> Iterator[Any]:
        """Decode messages one by one: each may change how the next is decoded."""
        for data in came:
            try:
                message = side.decode(data)
            except PeerError:
                if side.seal is None:
                    raise
                self.strange += 1
                continue
            yield message

    def shows(self, producer: Producer) -> bool:
        """Return whether it shows the screen."""
        mine, theirs = self.target.pixels, producer.pixels
        return mine.shape == theirs.shape and bool(
            np.array_equal(mine[..., :3], theirs[..., :3]) if mine.ndim == 3
            else np.array_equal(mine, theirs)
        )  # fmt: skip


class Proves:
    """The viewer's end of an authenticated greeting; *proof* is its proof."""

    def __init__(self, proof: bytes = b"right") -> None:
        self._proof, self._exchange = proof, KeyExchange()
        self.key = self._exchange.public

    def __call__(self, hello: bytes, challenge: messages.Challenge, raw: bytes) -> Proven:
        seal = self._exchange.agree(challenge.key, challenge.proof, viewer=True)
        return Proven(self._proof, "host1", seal)

    def check(self) -> None:
        """Trust the sender as long as the session lives."""


def asks(hello: messages.SessionHello, raw: bytes) -> Admission:
    """Challenge a viewer: the sender's end of an authenticated greeting."""
    exchange = KeyExchange()
    challenge = messages.Challenge(exchange.public, b"the host's")
    seal = exchange.agree(hello.key, challenge.proof, viewer=False)
    return Admission(hello.role, challenge, lambda given: given == b"right", seal)


class Scene:
    """A screen and its viewers, with a clock of their own."""

    def __init__(
        self, *, capacity: int = 1 << 20, tile: int = 32,
        make: Callable[[Consumer], Encoder] = Encoder,
        admit: Admit = lambda hello, raw: Admission(hello.role),
    ) -> None:  # fmt: skip
        self.producer = surface(capacity, tile=tile)
        self.consumer = Consumer(self.producer.memory)  # type: ignore[attr-defined]
        self.encoder = make(self.consumer)
        self.admit = admit
        self.viewers: list[Viewer] = []
        self.now = 0.0

    def view(self, down: Link | None = None, up: Link | None = None, **hello: Any) -> Viewer:
        self.viewers.append(Viewer(self, down or Link(), up or Link(), **hello))
        return self.viewers[-1]

    def run(self, seconds: float) -> None:
        """Advance the clock by some seconds."""
        end = self.now + seconds
        while self.now < end:
            self.now += TICK
            for viewer in self.viewers:
                viewer.turn(self.now)

    def settle(self, limit: float = 60) -> None:
        """Run until every viewer that is awake shows the screen."""
        end = self.now + limit
        while self.now < end:
            self.run(TICK)
            awake = [each for each in self.viewers if not each.asleep]
            if all(each.shows(self.producer) and each.sender.has_caught_up for each in awake):
                return
        raise AssertionError(f"a viewer does not show the screen after {limit} s")


def draw_random(scene: Scene, rng: np.random.Generator) -> None:
    """Draw something on the screen."""
    mode = scene.producer.mode
    pixels = scene.producer.pixels.copy()
    what = rng.integers(4)
    x, y = int(rng.integers(mode.width - 8)), int(rng.integers(mode.height - 8))
    if what == 0:
        pixels[y : y + 60, x : x + 90] = rng.integers(0, 256, pixels.shape[2:] or None)
    elif what == 1:
        pixels[y : y + 8, x : x + 8] = rng.integers(0, 256, pixels[y : y + 8, x : x + 8].shape)
    elif what == 2:
        pixels[:-16] = pixels[16:]
    else:
        pixels[...] = rng.integers(0, 256, pixels.shape)
    scene.producer.compare(np.ascontiguousarray(pixels))


def draw_square(scene: Scene, number: int, side: int = 8) -> None:
    """Draw a square of noise, another one for each number."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side, 4), np.uint8)
    scene.producer.draw(Rect(8, 8, side, side), noise, stride=4 * side)
