"""Kernels and archives without their compression; tests/qemu boots real ones."""

from __future__ import annotations

import gzip
import lzma
import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools" / "guests"))

import uncompressed

LOADED, PLACE, ENTRY = 0x100000, 0x1000000, 0x1000040
CODE = b"the kernel"


def elf() -> bytes:
    """Return an ELF file of one segment, with zeros in memory behind its contents."""
    header = struct.pack("<16sHHIQQQ", b"\x7fELF\x02\x01\x01", 2, 62, 1, ENTRY, 64, 0)
    header += struct.pack("<I6H", 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<2I6Q", 1, 7, 120, 0, PLACE, len(CODE), 0x3000, 0x1000)
    return header + segment + CODE


def image(packed: bytes) -> bytes:
    """Return a bzImage of two sectors of real-mode code and a packed kernel."""
    setup = bytearray(b"r" * 1024)
    setup[0x1F1] = 1
    struct.pack_into("<2I", setup, 0x248, 3, len(packed) + 4)
    return bytes(setup) + b"dec" + packed + struct.pack("<I", 0) + b"checksum"


def test_kernel_is_where_it_runs() -> None:
    made = uncompressed.kernel(image(lzma.compress(elf())))
    memory = made[1024:]
    assert memory[PLACE - LOADED :] == CODE.ljust(0x3000, b"\0")
    assert struct.pack("<I", ENTRY) in memory[:0x60]
    assert struct.unpack_from("<I", made, 0x1F4) == (len(memory) // 16,)
    assert struct.unpack_from("<I", made, 0x260) == (len(memory),)
    assert made[:0x1F1] == b"r" * 0x1F1


@pytest.mark.parametrize(
    "packed",
    [
        pytest.param(gzip.compress(elf()), id="gzip"),
        pytest.param(lzma.compress(b"no ELF"), id="no ELF"),
        pytest.param(b"", id="empty"),
    ],
)
def test_other_kernels_stay_as_they_are(packed: bytes) -> None:
    assert uncompressed.kernel(image(packed)) == image(packed)


def test_archive_is_unpacked_if_it_is_packed() -> None:
    assert uncompressed.archive(gzip.compress(b"070701")) == b"070701"
    assert uncompressed.archive(b"070701") == b"070701"


def test_file_is_made_once_and_the_last_two_are_kept(tmp_path: Path) -> None:
    (tmp_path / "vmlinuz").write_bytes(b"a")
    for name in ("vmlinuz-1", "vmlinuz-2"):
        (tmp_path / name).touch()
    made = uncompressed.kept(tmp_path / "vmlinuz", lambda data: data + b"b")
    assert made.read_bytes() == b"ab"
    assert uncompressed.kept(tmp_path / "vmlinuz", lambda data: b"other") == made
    assert made.read_bytes() == b"ab"
    assert len(list(tmp_path.iterdir())) == 3
