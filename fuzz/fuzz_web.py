"""Fuzzes a page's messages: each ends the socket with a reason, or is carried out.

An input is a sequence of WebSocket messages, each after its length in two bytes. They are received
by the socket's own code, with a screen that two sessions can open. Memory must stay bounded.
"""

from __future__ import annotations

import asyncio
import json
import random
from functools import partial
from pathlib import Path
from typing import Any, cast

import harness

with harness.instrumented():
    from kju.errors import PeerError
    from kju.surface import surface_size
    from kju.surface.consumer import Consumer
    from kju.surface.producer import Producer
    from kju.web import messages
    from kju.web.access_list import Principal
    from kju.web.carrier import WebCarrier
    from kju.web.page_socket import PageSocket
    from kju.wire.encoder import Encoders
    from kju.wire.greeting import Admission
    from kju.wire.messages import SessionHello, decode_from_viewer
    from kju.wire.sender_session import SenderSession

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "support" / "websocket_vectors.json"
MEMORY = bytearray(surface_size(1 << 12, max_side=64))
PRODUCER = Producer.format(MEMORY, 1 << 12, incarnation=1, max_side=64)
CONSUMER = Consumer(MEMORY)
ENCODERS = Encoders(CONSUMER)
PRODUCER.set_mode(32, 32)
#: The most messages of one input, and the most bytes that a socket may queue for one of them.
MAX_MESSAGES, MAX_ANSWER = 64, 1 << 20


class Ws:
    """The end of a WebSocket that the socket's code uses."""

    closed = False


class Transport:
    """A transport without a socket, whose peer reads nothing.

    Attributes:
        waiting: The bytes that wait in it.
    """

    def __init__(self) -> None:
        self.waiting = 0

    def get_extra_info(self, name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.waiting += len(data)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        raise AssertionError("more than the limit was queued")


class OneMachine:
    """One machine `debian` with two consoles."""

    build = server = "x"

    def __init__(self) -> None:
        self.carriers = [WebCarrier("debian"), WebCarrier("debian.1")]
        self.senders: dict[str, SenderSession] = {}
        for carrier in self.carriers:
            carrier.open(partial(self.receive, carrier), self.left)

    def carrier(self, machine: str, console: int) -> WebCarrier | None:
        return self.carriers[console] if machine == "debian" and console < 2 else None

    def serves(self, machine: str) -> bool:
        return machine == "debian"

    def remote(self, machine: str) -> None:
        return None

    def screen_refusal(self, principal: Principal, machine: str) -> str:
        return ""

    def listed(self, principal: Principal) -> list[Any]:
        return []

    def left(self, number: str) -> None:
        self.senders.pop(number, None)

    def receive(self, carrier: WebCarrier, number: str, data: bytes) -> None:
        if number not in self.senders:
            hello = decode_from_viewer(data)
            assert isinstance(hello, SessionHello)
            encoder = ENCODERS.for_viewer(hello)
            self.senders[number] = SenderSession(
                encoder, CONSUMER, lambda hello, raw: Admission(hello.role), ordered=True
            )
        sender = self.senders[number]
        try:
            sender.receive(sender.decode(data), 0.0)
        except PeerError:
            pass
        out = [*sender.to_send(0.0), *filter(None, [sender.next_message(0.0)])]
        for message in out:
            carrier.send(number, sender.encode(message))


async def receive_all(data: bytes) -> None:
    principal = Principal("S1", "view", frozenset(), 0.0)
    transport = Transport()
    page = PageSocket(cast("Any", Ws()), cast("Any", transport), principal, OneMachine())
    for message in parts(data):
        transport.waiting = 0
        try:
            number, rest = messages.split_frame(message)
            if number:
                page._receive_wire(number, bytes(rest))
            elif page._receive(messages.decode_from_page(rest)):
                break
        except PeerError:
            break
        if transport.waiting > MAX_ANSWER:
            raise AssertionError(f"{transport.waiting} bytes were written for one message")
    if len(page._screens) > messages.MAX_OPEN:
        raise AssertionError(f"{len(page._screens)} screens are open")
    for task in page._actions.values():
        task.cancel()
    await asyncio.gather(*page._actions.values(), return_exceptions=True)


def parts(data: bytes) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    while at + 2 <= len(data) and len(found) < MAX_MESSAGES:
        length = int.from_bytes(data[at : at + 2], "big")
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return found


LOOP = asyncio.new_event_loop()


def one_input(data: bytes) -> None:
    LOOP.run_until_complete(receive_all(data))


def joined(some: list[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in some)


SENT = [
    bytes.fromhex(each["hex"])
    for each in json.loads(VECTORS.read_text())["messages"]
    if each["from"] == "page" and each["name"] != "authenticate"
]
SEEDS = [joined(SENT), *(joined([each]) for each in SENT)]


def invent(source: random.Random) -> bytes:
    chosen = [source.choice(SENT) for _ in range(source.randrange(1, 8))]
    if source.random() < 0.5:
        at = source.randrange(len(chosen))
        made = bytearray(chosen[at])
        made[source.randrange(len(made))] = source.randrange(256)
        chosen[at] = bytes(made)
    return joined(chosen)


if __name__ == "__main__":
    harness.run(one_input, SEEDS, invent, mutate=True)
