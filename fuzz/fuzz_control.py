"""Fuzzes the bytes of a control socket, from a client and from a host: valid, or a PeerError.

See fuzz/README.md for how to run it.
"""

from __future__ import annotations

import random
from typing import get_args

import harness
import msgspec

with harness.instrumented():
    from kju.errors import KjuError, PeerError
    from kju.protocol import messages, values
    from kju.protocol.dry_run import DryRun, Planned
    from kju.protocol.forks import Begin, Freeze, Frozen, RemoveBase, Revert
    from kju.protocol.framing import (
        MAX_EVENTS,
        MAX_FRAME,
        ClientSide,
        HostSide,
        error_from,
        failure,
        pack,
    )
    from kju.protocol.launch_options import Detach, Launch
    from kju.protocol.leases import Renew
    from kju.protocol.snapshots import ChangeSnapshot, GetSnapshots, SavedSnapshot, SnapshotList
from kju.protocol.stepping import StepGuest

#: Maximum bytes that a side keeps after a whole input: one incomplete frame.
MOST = 4 + MAX_FRAME
HELLO = pack(messages.Hello(role="control", client="fuzz"), 1)


def seeds() -> list[bytes]:
    """Return one message of each kind, requests first; check that no kind is missing."""
    found: list[values.Message] = [
        messages.Hello(role="view", client="é"),
        Launch(image="/disk", arguments=["-m", "1G"], cpus=2),
        messages.GetInfo(),
        messages.GetSurface(console=1),
        messages.GetLive(console=1),
        messages.Keys(steps=[(30, True), (30, False)], interval=5),
        messages.Point(
            actions=[
                values.To(1, 2),
                values.Button(0, True),
                values.By(-1, 1),
                values.TurnWheel(1, -1),
                values.Finger(0, "begin", 3, 4),
            ],
        ),
        messages.GetPointer(),
        messages.GetLamps(),
        messages.LampsState(lit=["caps"]),
        messages.PointerState(absolute=True, held=["left"]),
        messages.Refresh(),
        messages.Cancel(),
        messages.HoldPublishing(milliseconds=9),
        messages.ResumePublishing(),
        messages.Stop(how="powerdown"),
        messages.Power(how="pause"),
        messages.Execute(command="eject", arguments='{"id": "cd0", "force": true}'),
        ChangeSnapshot(how="save", tag="a.b-c_1"),
        GetSnapshots(),
        Freeze(tag="installed"),
        RemoveBase(tag="installed"),
        Revert(),
        Begin(),
        Detach(),
        Renew(holder="lab", generation=2, until=9.5),
        StepGuest(microseconds=20_000, keys=[(30, True)], actions=[values.To(1, 2)]),
        messages.ChangeCd(path="/cd.iso"),
        messages.Resize(width=1280, height=800),
        messages.SetRate(console=1, rate=2.0),
        DryRun(machine="m", definition='image = "d.qcow2"', disk="20G"),
        messages.GetSerial(),
        messages.Subscribe(since=7),
        messages.Welcome(machine="m", role="view", consoles=2),
        messages.Info(info={"name": "m", "n": [1, 2.5, None, True, b"x"]}),
        messages.SurfaceHandle(descriptors=1, console=0, size=4096),
        messages.LiveHandle(descriptors=1, console=0),
        Planned(plan={"name": "m", "command": ["qemu", "-m", "1G"]}),
        messages.Done(version=7),
        messages.Failed(error="LimitError", message="full"),
        messages.Executed(value='{"return": [1, null]}'),
        SnapshotList(snapshots=[SavedSnapshot(tag="a", time=1.5, size=9, lacking=["d"])], note="n"),
        Frozen(base="0011-22", milliseconds=1.5),
        messages.SerialHandle(descriptors=1, writable=True),
        messages.Happened(sequence=1, time=2.5, event="mode", data={"console": 0, "width": 640}),
        messages.Refused(reason="enough"),
        messages.Ended(reason="over", status=-9, log=["one", "two"]),
    ]
    kinds = {*get_args(messages.AnyRequest), *get_args(messages.FromHost)}
    if missing := kinds - set(map(type, found)):
        raise AssertionError(f"no seed of {missing}")
    odd = {"type": "info-reply", "info": {"when": msgspec.msgpack.Ext(-1, bytes(12))}}
    # `from_a_host` has sent three requests; a notice has no number.
    numbers = [0 if isinstance(m, messages.Notice) else 1 + at % 3 for at, m in enumerate(found)]
    frames = list(map(pack, found, numbers))
    return [*frames, framed((1).to_bytes(8, "little") + msgspec.msgpack.encode(odd))]


def framed(body: bytes) -> bytes:
    """Return a frame: the length of its body, then a number of 8 bytes and a message."""
    return len(body).to_bytes(4, "little") + body


def one_input(data: bytes) -> None:
    """Feed bytes in two parts to the side that the first byte selects."""
    which, data = data[0] % 4 if data else 0, data[1:]
    middle = len(data) // 2
    parts = (data[:middle], data[middle:])
    if which == 3:
        from_a_host(parts)
    else:
        # From the first byte on, after a greeting, and while a launch is expected.
        side = HostSide(launch=which == 2)
        from_a_client(side, parts if which else (HELLO, *parts))


def from_a_client(side: HostSide, parts: tuple[bytes, ...]) -> None:
    """Act as the host: every request may be rejected, and its answer can be sent."""
    for part in parts:
        try:
            requests = side.receive_data(part)
        except PeerError:
            break
        for number, _ in requests:
            side.send(failure(KjuError("no")), number=number)
    held(side)
    for out in side.data_to_send():
        if len(out.data) > MOST:
            raise AssertionError(f"a reply of {len(out.data)} bytes")


def from_a_host(parts: tuple[bytes, ...]) -> None:
    """Act as a client that has sent three requests and received two descriptors."""
    side = ClientSide()
    for _ in range(3):
        side.request(messages.GetInfo())
    came = [1001, 1002]
    owned: list[int] = []
    for part in parts:
        try:
            answers = side.receive_data(part, came)
        except PeerError:
            break
        finally:
            came = []
        for _, answer in answers:
            owned += answer.descriptors
            if isinstance(answer.reply, messages.Failed):
                str(error_from(answer.reply))
    held(side)
    if len(side.happened) > MAX_EVENTS:
        raise AssertionError(f"{len(side.happened)} events wait")
    if sorted([*owned, *side.unclaimed()]) != [1001, 1002]:
        raise AssertionError("a descriptor was lost, or was given out twice")


def held(side: HostSide | ClientSide) -> None:
    """Check that no peer can make a side keep more than one frame."""
    waiting = len(side._framer._buffer)
    if waiting > MOST:
        raise AssertionError(f"{waiting} bytes wait")


def invent(source: random.Random) -> bytes:
    """Return a few messages with a few bytes changed; most lengths are corrected."""
    frames = [bytearray(part[4:]) for part in source.choices(SEEDS, k=source.randint(1, 4))]
    for body in frames:
        for _ in range(source.choice((0, 0, 1, 2, 5))):
            place = source.randrange(len(body) + 1)
            if source.random() < 0.6 and place < len(body):
                # msgpack's own markers first: errors are likeliest in types and lengths.
                body[place] = source.choice((0x80, 0x9F, 0xC0, 0xC6, 0xC9, 0xCF, 0xD6, 0xDF, 0xFF,
                                             source.randrange(256)))  # fmt: skip
            elif source.random() < 0.5:
                del body[place : place + source.randint(1, 8)]
            else:
                body[place:place] = source.randbytes(source.randint(1, 8))
    data = b"".join(framed(bytes(body)) for body in frames)
    if source.random() < 0.1:
        place = source.randrange(len(data))
        data = data[:place] + source.randbytes(4) + data[place + 4 :]
    return bytes([source.randrange(4)]) + data


SEEDS = seeds()

if __name__ == "__main__":
    # Alternately: our mutations keep frames whole, libFuzzer's do not.
    everyone = [bytes([which]) + seed for seed in SEEDS for which in range(4)]
    harness.run(one_input, everyone, invent, mutate=True)
