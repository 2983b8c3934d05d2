"""Fuzzes texts: logs of input, traces, QEMU's disk information, definitions, events.

Each is valid, or raises the documented error; the division of a stream has no effect. See
fuzz/README.md for how to run it.
"""

from __future__ import annotations

import json
import random
from functools import partial

import harness
import msgspec

with harness.instrumented():
    from kju.emulators.events import MachineEvents, from_remote
    from kju.emulators.qemu import stderr
    from kju.emulators.qemu.snapshot_disks import disks_of
    from kju.errors import DefinitionError, FormatError, QemuError
    from kju.escaping import lines, one_line
    from kju.protocol import input_log as recording
    from kju.protocol.values import Button, By, Finger, To, TurnWheel
    from kju.store.machine_toml import Definition, write
    from kju.store.machine_toml import decode as define

EVENTS = ("ps2_keyboard_event", "ps2_mouse", "input_event_abs")
LINES = (
    b"ps2_keyboard_event 0x55 a\nQEMU says\r\nps2_mouse \xff\nps2_mo\x0bps2_mouse 1\nps2_mouse\n"
)
INPUTS = [
    recording.Input(0.5, 0, keys=[(30, True), (30, False)]),
    recording.Input(1.25, 1, pointer=[To(1, 2), Button(0, True), By(-1, 1), TurnWheel(1, -1)]),
    recording.Input(2, 0, pointer=[Finger(0, "begin", 3, 4)]),
]
SAVED = {"name": "a", "date-sec": 7, "date-nsec": 5, "vm-state-size": 9}
BLOCKS = [
    {
        "device": "pflash0",
        "inserted": {
            "node-name": "d",
            "ro": False,
            "drv": "qcow2",
            "file": "d.qcow2",
            "image": {"filename": "d.qcow2", "snapshots": [SAVED, {**SAVED, "name": "b"}]},
        },
    },
    {"device": "cd0"},
]
TOML = (
    b"# c\nname = 'm'\nimage = \"a.qcow2\"\ndisks = [\n 'b', # ]\n]\nmemory = '2G'\ncpus = 2\n"
    b"firmware = 'uefi'\nnetwork = 'none'\narguments = ['-s', '''\nx = [''']\nbase = 'o'\n"
)
ODD: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    1 << 63,
    1 << 200,
    1e308,
    "",
    "x\0",
    "../..",
    [],
    {},
    [[]],
    float("nan"),
)
WORDS = (
    b"[",
    b"[[",
    b"]",
    b"{",
    b"'''",
    b'"""',
    b"=",
    b"#",
    b"\n",
    b"\0",
    b"\xff",
    b"1" * 5000,
    b".a" * 4000,
)


def seeds() -> list[bytes]:
    """Return one text of each kind."""
    return [
        b"\0" + b"".join(map(recording.encode, INPUTS)),
        b"\1" + LINES,
        b"\2" + json.dumps(BLOCKS).encode(),
        b"\3" + TOML,
        b"\3[a]\nb=1\n[",
        b'\4reset\n{"guest": true, "reason": "\\u001b[31m"}',
    ]


def one_input(data: bytes) -> None:
    """Parse bytes; the first one selects the kind."""
    which, data = data[0] % 5 if data else 0, data[1:]
    (a_log, a_stream, the_disks, a_definition, an_event)[which](data)


def a_log(data: bytes) -> None:
    """Check that a log that can be read is equal after writing and reading it."""
    try:
        found = recording.decode(data)
    except FormatError:
        return
    assert recording.decode(b"".join(map(recording.encode, found))) == found
    for after, _ in recording.schedule(found, 2):
        assert after >= 0


def a_stream(data: bytes) -> None:
    """Check that every division of a stream gives the same events and the same rest."""
    whole = passed_on([data])
    source = random.Random(data)
    places = sorted(source.randrange(len(data) + 1) for _ in range(source.randrange(6)))
    parts = [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]
    for cut in (parts, [data[at : at + 1] for at in range(min(len(data), 2000))]):
        if b"".join(cut) == data:
            assert passed_on(cut) == whole, (cut, whole)


def _keep(heard: list[tuple[str, bytes]], event: str, line: bytes) -> None:
    heard.append((event, line))


def passed_on(parts: list[bytes]) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """Return the bytes that are passed on, the events, and an incomplete line."""
    heard: list[tuple[str, bytes]] = []
    reader = stderr.Traces()
    for event in EVENTS:
        reader.listen(event, partial(_keep, heard, event))
    rest = b"".join(map(reader.receive_data, parts))
    assert len(reader._incomplete) < stderr.MAX_LINE
    assert sum(len(line) for _, line in heard) + len(rest + reader._incomplete) == sum(
        map(len, parts)
    )
    return rest, heard, reader._incomplete


def the_disks(data: bytes) -> None:
    """Check QEMU's disk information: JSON of any shape."""
    try:
        blocks = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        disks = disks_of(blocks)
    except QemuError as error:
        assert len(str(error)) < 1000
        return
    for disk in disks:
        for tag, saved in disk.saved.items():
            assert saved.tag == tag
            msgspec.msgpack.encode(saved)


def a_definition(data: bytes) -> None:
    """Check that a definition that can be read is equal after writing and reading it."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = define(text, "m.toml", "m")
    except DefinitionError as error:
        assert error.line is not None and 1 <= error.line <= text.count("\n") + 1
        assert error.file == "m.toml"
        return
    assert isinstance(found, Definition)
    assert define(write(found), "m.toml", "m") == found


def an_event(data: bytes) -> None:
    """Check that a sender's event can be forwarded and shown, or is ignored."""
    name, _, rest = data.partition(b"\n")
    text = name.decode("utf-8", "surrogateescape")
    assert one_line(text).isprintable() and lines(text).replace("\n", "").isprintable()
    if told := from_remote(text, rest):
        MachineEvents().happen(*told)
        assert told[0].startswith("remote-") and told[0].isprintable()
        msgspec.msgpack.encode(told[1])


def changed(value: object, source: random.Random) -> object:
    """Return plain data with some values replaced or omitted."""
    if source.random() < 0.1:
        return source.choice(ODD)
    if isinstance(value, dict):
        kept = [(k, changed(v, source)) for k, v in value.items() if source.random() < 0.95]
        return dict(kept)
    if isinstance(value, list):
        return [changed(item, source) for item in value for _ in range(source.choice((1, 1, 1, 2)))]
    return value


def invent(source: random.Random) -> bytes:
    """Return a seed with wrong values, or with bytes removed, inserted and changed."""
    if source.random() < 0.3:
        return b"\2" + json.dumps(changed(BLOCKS, source)).encode()
    if source.random() < 0.2:
        entries = [json.loads(recording.encode(entry)) for entry in INPUTS]
        return b"\0" + b"\n".join(json.dumps(changed(e, source)).encode() for e in entries)
    data = bytearray(source.choice(seeds()))
    for _ in range(source.choice((1, 1, 2, 5))):
        place = source.randrange(1, len(data) + 1)
        how = source.random()
        if how < 0.4:
            data[place:place] = source.choice((*WORDS, *(e.encode() for e in EVENTS)))
        elif how < 0.7:
            del data[place : place + source.choice((1, 3, 1000))]
        else:
            data[place : place + 1] = source.randbytes(1)
    return bytes(data)


if __name__ == "__main__":
    harness.run(one_input, seeds(), invent, mutate=True)
