"""Fuzzes a greeting with one message changed in transit: no session, or the intended one.

tests/unit/remote/test_trust.py tests that no other peer gets a session; this finds crashes.

An input is the index of the message (one byte), the kind of change (one byte), and its data. The
sender and the viewer are real ones, with certificates.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import harness

with harness.instrumented():
    from kju.errors import KjuError
    from kju.remote.proof import Authenticator, Prover
    from kju.remote.trust import Trust
    from kju.surface import surface_size
    from kju.surface.consumer import Consumer
    from kju.surface.producer import Producer
    from kju.wire.encoder import Encoder
    from kju.wire.greeting import Stage
    from kju.wire.messages import ViewerInput
    from kju.wire.receiver_session import ReceiverSession
    from kju.wire.sender_session import SenderSession

NAME = "lab/host1/debian"
#: Hello, challenge, proof, welcome, input.
MESSAGES = 5
TRUST = Trust(Path(tempfile.mkdtemp()))
TRUST.make_authority("the lab")
TRUST.make_host("host1", [])
TRUST.import_bundle(TRUST.user_bundle("ann"))
TRUST.set_role("ann", "control")
MEMORY = bytearray(surface_size(1 << 12, max_side=64))
PRODUCER = Producer.format(MEMORY, 1 << 12, incarnation=1, max_side=64)
CONSUMER = Consumer(MEMORY)
ENCODER = Encoder(CONSUMER)
ADMIT, PROVE = Authenticator(TRUST, NAME), Prover(TRUST, "ann", NAME)


def one_input(data: bytes) -> None:
    at, how, what = data[0] % MESSAGES if data else 0, data[1] % 3 if data[1:] else 0, data[2:]
    sender = SenderSession(ENCODER, CONSUMER, ADMIT)
    receiver = ReceiverSession(PRODUCER, max_pixels=4096)
    receiver.start("control", user="ann", prove=PROVE())
    inputs, passed = [], 0

    def change(message: bytes) -> bytes:
        nonlocal passed
        passed += 1
        return changed(message, how, what) if passed - 1 == at else message

    for turn in range(3):
        if receiver.stage is Stage.OPEN:
            receiver._urgent.append(ViewerInput(1, b"a key"))
        for message in receiver.to_send():
            try:
                inputs += sender.receive(sender.decode(change(receiver.encode(message))), turn)
            except KjuError:
                continue
        for message in sender.to_send(turn):
            try:
                receiver.receive(receiver.decode(change(sender.encode(message))), turn)
            except KjuError:
                continue
    if inputs not in ([], [ViewerInput(1, b"a key")]):
        raise AssertionError(f"the sender took {inputs}")
    if inputs and (sender.stage, sender.role, sender.user) != (Stage.OPEN, "control", "ann"):
        raise AssertionError(f"a session of {sender.user!r}, {sender.role}")
    if receiver.stage is Stage.OPEN and receiver.sender != "host1":
        raise AssertionError(f"a session with {receiver.sender!r}")
    if sender.stage is Stage.OPEN and sender.user != "ann":
        raise AssertionError(f"a session with {sender.user!r}")


def changed(message: bytes, how: int, what: bytes) -> bytes:
    """Return bytes with some exchanged, a new end, or completely new ones."""
    if how == 0:
        made = bytearray(message)
        for place in range(0, len(what) - 2, 3):
            at = int.from_bytes(what[place : place + 2], "big")
            made[at % len(made)] = what[place + 2]
        return bytes(made)
    return (message[: what[0]] + what[1:] if what else b"") if how == 1 else what


def invent(source: random.Random) -> bytes:
    head = bytes([source.randrange(MESSAGES), source.choice([0, 0, 1, 2])])
    return head + source.randbytes(source.choice([0, 3, 3, 6, 60]))


if __name__ == "__main__":
    harness.run(one_input, [bytes([at, 0]) for at in range(MESSAGES)], invent, mutate=True)
