"""Fuzzes messages to a sender and a receiver: accepted, or a PeerError, with bounded memory.

See fuzz/README.md for how to run it.
"""

from __future__ import annotations

import random
from typing import get_args

import harness
import msgspec
import numpy as np

with harness.instrumented():
    from kju.errors import PeerError
    from kju.surface import surface_size
    from kju.surface.consumer import Consumer
    from kju.surface.producer import Producer
    from kju.wire import _wire, codecs, jpeg, messages
    from kju.wire.codecs import MAX_BLOCK
    from kju.wire.encoder import MAX_DATA, Encoder
    from kju.wire.greeting import Admission
    from kju.wire.messages import MAX_LOST
    from kju.wire.photos import ExactPolicy, PhotoPolicy
    from kju.wire.receiver_session import ReceiverSession
    from kju.wire.sender_session import MAX_EVENTS, SenderSession
    from kju.wire.sequence import MAX_INPUTS
    from kju.wire.steps import MAX_KEPT

WIDTH, HEIGHT = 64, 48
CAPACITY = WIDTH * HEIGHT * 4
NOISE = np.random.default_rng(4).integers(0, 256, 4096, np.uint8).tobytes()


def surface() -> tuple[Producer, Consumer]:
    memory = bytearray(surface_size(CAPACITY, max_side=256))
    return Producer.format(memory, CAPACITY, incarnation=1, max_side=256), Consumer(memory)


def block(codec: str = "zstd") -> tuple[int, bytes]:
    """Return a valid block with each kind of item."""
    picture = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    picture[8:20, 8:20] = (1, 2, 3, 0)
    picture[20:, :] = np.random.default_rng(1).integers(0, 256, (HEIGHT - 20, WIDTH, 4))
    form = WIDTH, HEIGHT, WIDTH * 4, 4
    picture[:4, 40:60] = np.random.default_rng(2).integers(0, 2, (4, 20, 4)) * 90
    picture[4:8, 40:60] = np.arange(20)[:, None] * (7, 3, 5, 0)
    rects = [(8, 8, 12, 12), (0, 0, 30, 20), (0, 20, 20, 20), (40, 0, 20, 8), (40, 4, 20, 4)]
    data = _wire.pack_move((0, 0, 8, 8), 1, 1) + _wire.pack(picture, form, rects)
    return len(data), codecs.compress(data, codec)


def photo() -> messages.Photo:
    """Return a valid photo."""
    picture = np.random.default_rng(3).integers(90, 110, (16, 24, 4), np.uint8)
    return messages.Photo(8, 16, 24, 16, jpeg.compress(picture))


def seeds() -> list[bytes]:
    """Return one message of each kind; check that no kind is missing."""
    size, data = block()
    nothing = codecs.compress(b"", "zstd")
    cursor = codecs.compress(bytes(4 * 4 * 4), "zstd")
    found: list[messages.WireMessage] = [
        messages.SessionHello(1, "control", ["zstd", "jpeg"], 1 << 20, "é", b"n", False, True),
        messages.SessionHello(1, "view", ["zstd"], 1 << 20, rate=2.0, max_side=320),
        messages.Proof(b"p"),
        messages.Ack(3, [1, 2], 99, True),
        messages.ViewerInput(1, b"body", 40),
        messages.Challenge(b"n", b"p"),
        messages.SessionWelcome(1, 1, "zstd", "view", lossy=True),
        messages.SessionRefused("no"),
        messages.ModeUpdate(1, 1, WIDTH, HEIGHT),
        messages.Segment(2, 0, 1, 1, 1, size, data),
        messages.Segment(3, 1, 1, 2, 0, size, data),
        messages.CursorUpdate(4, True, 1, 2, 1, 1, 4, 4, cursor),
        messages.StateUpdate(5, 1, "r"),
        messages.Ping(6),
        messages.InputDone(1, 1, 1, "InputError", "r"),
        messages.MachineEvent("paused"),
        messages.Lead(),
        messages.Ticket(bytes(74)),
        messages.KeepAlive(),
        messages.ViewerRate(1, 2.0),
        messages.RateDone(1, 5),
        messages.Goodbye("bye"),
        messages.LossySegment(7, 1, 1, 2, 2, size, data, 0, [photo()]),
        messages.LossySegment(8, 0, 1, 2, 2, 0, nothing, 0, [photo(), photo()]),
    ]
    kinds = {*get_args(messages.FromViewer), *get_args(messages.FromSender)}
    if missing := kinds - set(map(type, found)):
        raise AssertionError(f"no seed of {missing}")
    each = [messages.encode(message) for message in found]
    session = [each[5], *each[7:13], *each[-2:]]
    packed = messages.encode(messages.Segment(2, 0, 1, 1, 1, *block("lz4")))
    bombs = [messages.encode(messages.Segment(2, 0, 1, 1, 1, *much(item))) for item in ITEMS]
    return [
        *map(joined, ([one] for one in each)), joined(session), joined([each[7], packed]),
        *(joined([each[7], bomb]) for bomb in bombs),
    ]  # fmt: skip


#: A fill and a copy of the whole picture, and one pixel.
ITEMS = (
    bytes([0, 0, 0, WIDTH - 1, HEIGHT - 1, 1, 2, 3]),
    bytes([1, 0, 0, WIDTH - 1, HEIGHT - 1, 0, 0]),
    bytes(8),
)


def much(item: bytes) -> tuple[int, bytes]:
    """Return as many items as a block may have: some hundred bytes when compressed."""
    data = item * (MAX_BLOCK // len(item))
    return len(data), codecs.compress(data, "zstd")


def joined(parts: list[bytes]) -> bytes:
    """Return messages as one input."""
    return b"".join(len(part).to_bytes(2, "little") + part for part in parts)


def parted(data: bytes) -> list[bytes]:
    parts: list[bytes] = []
    while len(data) >= 2 and len(parts) < 64:
        size = int.from_bytes(data[:2], "little")
        parts.append(data[2 : 2 + size])
        data = data[2 + size :]
    return parts


def one_input(data: bytes) -> None:
    """Feed messages to a sender and to a receiver, each after a valid greeting."""
    parts = parted(data)
    to_sender(parts, ExactPolicy())
    to_sender(parts, PhotoPolicy())
    to_receiver(parts, "zstd")
    to_receiver(parts, "lz4")


def to_sender(parts: list[bytes], policy: ExactPolicy) -> None:
    producer, consumer = surface()
    producer.set_mode(WIDTH, HEIGHT)
    encoder = Encoder(consumer, policy=policy)
    sender = SenderSession(encoder, consumer, lambda hello, raw: Admission(hello.role))
    sender.receive(messages.SessionHello(1, "control", ["zstd"], 1 << 20), 0.0)
    for number, part in enumerate(parts):
        now = number / 10
        try:
            sender.receive(messages.decode_from_viewer(part), now)
        except PeerError:
            break
        finally:
            sender.to_send(now)
            for _ in range(4):
                sender.next_message(now)
        drawn = NOISE if number % 2 else bytes([number % 256]) * 4096
        producer.draw((0, 0, 32, 32), drawn, stride=128)  # type: ignore[arg-type]
    if len(sender._inputs) > MAX_INPUTS or len(sender._events) > MAX_EVENTS:
        raise AssertionError("a viewer made its sender keep inputs or events")
    if encoder._log._length > MAX_KEPT + MAX_DATA:
        raise AssertionError("an encoder keeps too much")


def to_receiver(parts: list[bytes], codec: str) -> None:
    producer, _ = surface()
    receiver = ReceiverSession(producer, max_pixels=256 * 256)
    receiver.start("control", codecs=[codec, codecs.JPEG], lossy=True)
    receiver.receive(messages.SessionWelcome(1, 1, codec, "control", lossy=True), 0.0)
    for part in parts:
        try:
            receiver.receive(messages.decode_from_sender(part), 0.0)
        except PeerError:
            break
        finally:
            receiver.to_send()
    if len(receiver.ack_state.lost) > MAX_LOST + 1 or len(receiver._urgent) > 2:
        raise AssertionError("a sender made its viewer keep more than it may")


SEEDS = [parted(seed) for seed in seeds()]
MESSAGES = [part for parts in SEEDS for part in parts]


def invent(source: random.Random) -> bytes:
    """Return a few messages, some with another number or with changed bytes."""
    parts = []
    for _ in range(source.randint(1, 8)):
        part = bytearray(source.choice(MESSAGES))
        if source.random() < 0.4:
            fields = msgspec.msgpack.decode(bytes(part))
            at = source.randrange(len(fields))
            if isinstance(fields[at], int):
                fields[at] = source.choice([0, 1, 2, 3, 7, 1 << 16, 1 << 53, -1, fields[at] + 1])
            part = bytearray(msgspec.msgpack.encode(fields))
        for _ in range(source.choice([0, 0, 1, 3])):
            part[source.randrange(len(part))] = source.randrange(256)
        parts.append(bytes(part))
    return joined(parts)


if __name__ == "__main__":
    harness.run(one_input, seeds(), invent, mutate=True)
