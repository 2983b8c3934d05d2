"""The list of memory blocks in a file that QEMU has migrated to."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.emulators.qemu.forks.ram_file import RamBlock, find_block
from kju.errors import QemuError

MIB = 1 << 20
BEGIN = b"QEVM\x00\x00\x00\x03\x07\x00\x00\x00\x0epc-i440fx-10.0\x01\x00\x00\x00\x02"
SECTION = b"\x03ram" + struct.pack(">II", 0, 4)


def entry(name: bytes, size: int, bitmap: int, pages: int, version: int = 1) -> bytes:
    header = struct.pack(">IQQQ", version, 4096, bitmap, pages)
    return bytes([len(name)]) + name + struct.pack(">Q", size) + header


def file(*, first: str = "pc.ram", version: int = 1) -> bytes:
    """Return a file of two blocks, of 2 MiB and 64 KiB, as QEMU 10.0 lays them out."""
    head = BEGIN + SECTION + struct.pack(">Q", (2 * MIB + 65536) | 4)
    at = len(head) + 1 + len(first) + 8 + 28
    data = bytearray(head + entry(first.encode(), 2 * MIB, at, MIB, version))
    data += bytes(3 * MIB - len(data))
    second = entry(b"vga.vram", 65536, 3 * MIB + 45, 4 * MIB)
    data += second + bytes(MIB - len(second)) + bytes(65536)
    return bytes(data)


def found(data: bytes, name: str) -> RamBlock:
    return find_block(lambda at, size: data[at : at + size], name, len(data))


def test_both_blocks_are_found() -> None:
    data = file()
    at = len(BEGIN) + len(SECTION) + 8 + 1 + 6 + 8 + 28
    assert found(data, "pc.ram") == RamBlock("pc.ram", 2 * MIB, MIB, at, 64)
    assert found(data, "vga.vram") == RamBlock("vga.vram", 65536, 4 * MIB, 3 * MIB + 45, 8)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "does not begin"),
        (file()[4:], "does not begin"),
        (file()[: len(BEGIN) + 8], "does not begin"),
        (file()[: len(BEGIN) + len(SECTION) + 4], "cut short"),
        (file()[: len(BEGIN) + len(SECTION) + 20], "ends within the list"),
        (file()[: 2 * MIB], "the pages of pc.ram are not in it"),
        (file(version=2), "the header of pc.ram has another form"),
        (file().replace(struct.pack(">Q", MIB), struct.pack(">Q", 8)), "another form"),
    ],
)
def test_another_layout_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(QemuError, match=why):
        found(data, "pc.ram")


def test_missing_block_is_named() -> None:
    with pytest.raises(QemuError, match=r"no block mach-virt\.ram"):
        found(file(), "mach-virt.ram")


@given(st.binary(max_size=200), st.integers(0, 200))
def test_altered_file_raises_no_other_error(noise: bytes, at: int) -> None:
    data = bytearray(file())
    data[at : at + len(noise)] = noise
    try:
        block = found(bytes(data), "pc.ram")
    except QemuError:
        return
    assert block.bitmap + block.bitmap_size <= block.offset
    assert block.offset + block.size <= len(data)
