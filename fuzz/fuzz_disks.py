"""Fuzzes a disk's first bytes, in every format that can name another file: names, or a UsageError.

See fuzz/README.md for how to run it.
"""

from __future__ import annotations

import random
import struct

import harness

with harness.instrumented():
    from kju.errors import UsageError
    from kju.store import disk_headers
    from kju.store.disk_headers import parse

DESCRIPTION = b"""# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="twoGbMaxExtentSparse"
parentFileNameHint="../a.vmdk"

RW 128 FLAT "disk-f001.vmdk" 0
RW 128 SPARSE "disk-s002.vmdk"
RW 63 ZERO
ddb.adapterType = "ide"
"""
PIECES = (b"\n", b" ", b"\t", b"\r", b'"', b"\0", b"#", b"=", b"RW ", b"128 ", b"FLAT ", b'"x" 0',
          b"parentFileNameHint", b"version=1\n", b"\n" * 500, b" " * 500,
          b"RW\n" * 200)  # fmt: skip
FORMATS = ("", "qcow2", "qcow", "qed", "vmdk", "raw")


def seeds() -> list[bytes]:
    """Return one image of each format; the first byte selects the format given to QEMU."""
    qcow2 = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 136, 4, 16, 1 << 20).ljust(100, b"\0")
    qcow2 += struct.pack(">III", 104, 0xE2792ACA, 5) + b"qcow2".ljust(8, b"\0")
    qcow2 = qcow2.ljust(136, b"\0") + b"base"
    qcow = struct.pack(">4sIQI", b"QFI\xfb", 1, 20, 4) + b"base"
    qed = struct.pack("<4sIIIQ32xII", b"QED\0", 1 << 16, 4, 1, 1, 64, 4) + b"base"
    cowd = b"COWD".ljust(512, b"\0") + DESCRIPTION
    hosted = [
        struct.pack("<4sIIQQQ", b"KDMV", 1, 3, capacity, 128, 1).ljust(512, b"\0") + DESCRIPTION
        for capacity in (0, 128)
    ]
    raw = bytes(512)
    return [b"\0" + data for data in (qcow2, qcow, qed, cowd, *hosted, DESCRIPTION, raw)]


def one_input(data: bytes) -> None:
    """Read the files that an image names, and whether it may be another's extent."""
    told, data = FORMATS[data[0] % len(FORMATS)] if data else "", data[1:]

    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    disk_headers.extent_fault(read)
    try:
        found = parse(read, told)
    except UsageError:
        return
    for name in (found.backing, *found.data):
        if "\0" in name or len(name) > disk_headers.PARENT_AREA:
            raise AssertionError(f"a name of {len(name)} characters")


def invent(source: random.Random) -> bytes:
    """Return an image with a few parts inserted, removed or changed."""
    data = bytearray(source.choice(SEEDS))
    for _ in range(source.randint(0, 6)):
        place = source.randrange(len(data) + 1)
        chance = source.random()
        if chance < 0.5:
            data[place:place] = source.choice(PIECES) * source.choice((1, 1, 2, 8))
        elif chance < 0.7:
            del data[place : place + source.randint(1, 8)]
        else:
            data[place : place + 1] = source.randbytes(1)
    return bytes(data)


SEEDS = seeds()

if __name__ == "__main__":
    harness.run(one_input, SEEDS, invent, mutate=True)
