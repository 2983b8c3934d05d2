"""Find the files that a disk image's header names."""

from __future__ import annotations

import struct

import pytest

from kju.errors import UsageError
from kju.store.disk_headers import Named, parse
from kju.store.vmdk import Read


def reader(data: bytes) -> Read:
    return lambda offset, size: data[offset : offset + size]


def qcow2(backing: bytes = b"", *extensions: tuple[int, bytes], version: int = 3) -> bytes:
    """Return a qcow2 header with its extensions, and the name of the backing file behind."""
    body = b"".join(
        struct.pack(">II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")
        for kind, data in (*extensions, (0, b""))
    )
    offset = 104 + len(body) if backing else 0
    header = struct.pack(">4sIQII", b"QFI\xfb", version, offset, len(backing), 16)
    header = header.ljust(100, b"\0") + struct.pack(">I", 104)
    return header + body + backing


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"QFI\xfb\0\0\0\1".ljust(48, b"\0"), "qcow"),
        (qcow2(), "qcow2"),
        (b"QED\0".ljust(64, b"\0"), "qed"),
        (b"vhdxfile", "vhdx"),
        (b"conectix", "vpc"),
        (b"LUKS\xba\xbe", "luks"),
        (b"KDMV".ljust(512, b"\0"), "vmdk"),
        (bytes(0x40) + b"\x7f\x10\xda\xbe", "vdi"),
        (b"", "raw"),
        (bytes(512), "raw"),
    ],
)
def test_a_format_is_known_by_its_first_bytes(head: bytes, name: str) -> None:
    assert parse(reader(head)).format == name


def test_a_qcow2_names_its_backing_file_and_its_format() -> None:
    data = qcow2(b"base.raw", (0xE2792ACA, b"raw"))
    assert parse(reader(data)) == Named("qcow2", "base.raw", "raw")


def test_a_qcow2_names_its_data_file() -> None:
    assert parse(reader(qcow2(b"", (0x44415441, b"data")))).data == ("data",)


def test_a_qcow_and_a_qed_name_their_backing_files() -> None:
    qcow = struct.pack(">4sIQI", b"QFI\xfb", 1, 48, 4).ljust(48, b"\0") + b"base"
    assert parse(reader(qcow)) == Named("qcow", "base")
    for features, kind in ((1, ""), (5, "raw")):
        qed = struct.pack("<4s12xQ32xII", b"QED\0", features, 64, 4) + b"base"
        assert parse(reader(qed)) == Named("qed", "base", kind)
    assert parse(reader(struct.pack("<4s12xQ32xII", b"QED\0", 0, 64, 4) + b"base")) == Named("qed")


def test_format_given_to_qemu_counts() -> None:
    """A guest may write the header of another format into a raw disk."""
    assert parse(reader(qcow2(b"base")), "raw") == Named("raw")
    assert parse(reader(b"no header"), "qcow2") == Named("qcow2")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (qcow2()[:80], "the qcow2 header ends too early"),
        (qcow2(b"\xff\xfe"), "not UTF-8"),
        (qcow2(b"x" * 2000), "2000 bytes"),
        (qcow2(b"base")[:-1], "outside the image"),
        (qcow2(b"", *[(1, b"")] * 1000), "too many extensions"),
    ],
)
def test_a_damaged_header_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse(reader(data))
