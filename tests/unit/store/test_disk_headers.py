"""Find the files that a disk image's header names."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.errors import UsageError
from kju.store.disk_headers import (
    NamedFiles,
    Read,
    VmdkFiles,
    extent_fault,
    is_vmdk,
    parse,
    vmdk_files,
)


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
    assert parse(reader(data)) == NamedFiles("qcow2", "base.raw", "raw")


def test_a_qcow2_names_its_data_file() -> None:
    assert parse(reader(qcow2(b"", (0x44415441, b"data")))).data == ("data",)


def test_a_qcow_and_a_qed_name_their_backing_files() -> None:
    qcow = struct.pack(">4sIQI", b"QFI\xfb", 1, 48, 4).ljust(48, b"\0") + b"base"
    assert parse(reader(qcow)) == NamedFiles("qcow", "base")
    for features, kind in ((1, ""), (5, "raw")):
        qed = struct.pack("<4s12xQ32xII", b"QED\0", features, 64, 4) + b"base"
        assert parse(reader(qed)) == NamedFiles("qed", "base", kind)
    assert parse(reader(struct.pack("<4s12xQ32xII", b"QED\0", 0, 64, 4) + b"base")) == NamedFiles(
        "qed"
    )


def test_the_format_given_to_qemu_decides() -> None:
    """A guest may write the header of another format into a raw disk."""
    assert parse(reader(qcow2(b"base")), "raw") == NamedFiles("raw")
    assert parse(reader(b"no header"), "qcow2") == NamedFiles("qcow2")


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


DESCRIPTION = b'# Disk DescriptorFile\nversion=1\nRW 128 FLAT "data.vmdk" 0\n'


def sparse(capacity: int, sector: int = 0, description: bytes = b"") -> bytes:
    """Return a sparse extent with a description that begins at *sector*."""
    header = struct.pack("<4sIIQQQ", b"KDMV", 1, 0, capacity, 0, sector)
    return header.ljust(max(sector, 1) * 512, b"\0") + description


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (DESCRIPTION, True),
        (b"\n\nversion=3\r\n", True),
        (b"KDMV", True),
        (b"COWD", True),
        (b"version=4\n", False),
        (b"x" + DESCRIPTION, False),
        (b"", False),
    ],
)
def test_a_vmdk_is_known_by_its_first_bytes(data: bytes, expected: bool) -> None:
    assert is_vmdk(reader(data)) is expected


def test_extents_and_the_parent_of_a_description() -> None:
    text = DESCRIPTION + b'parentFileNameHint="base.vmdk"\nRW 63 ZERO\nRDONLY 1 SPARSE "b.vmdk"\n'
    assert vmdk_files(reader(text)) == VmdkFiles("base.vmdk", ("data.vmdk", "b.vmdk"), "")


def test_an_image_with_a_capacity_holds_its_data_itself() -> None:
    assert vmdk_files(reader(sparse(128, 1, DESCRIPTION))).extents == ()
    assert vmdk_files(reader(sparse(0, 1, DESCRIPTION))).extents == ("data.vmdk",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"RW 128", "line 4 is neither a setting nor an extent"),
        (b'RW 1 FLAT "' + b"d" * 512 + b'" 0', "line 4 has too long a name"),
        (b'parentFileNameHint="x', "the name of its parent does not end"),
    ],
)
def test_an_ambiguous_description_has_a_reason(line: bytes, reason: str) -> None:
    assert vmdk_files(reader(DESCRIPTION + line + b"\n")).unclear.startswith(reason)


def test_a_description_ends_at_a_zero_byte() -> None:
    assert vmdk_files(reader(DESCRIPTION + b'\0RW 1 FLAT "other" 0\n')).extents == ("data.vmdk",)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"pixels of no format", ""),
        (sparse(128), ""),
        (sparse(0, 1, DESCRIPTION), "its capacity is 0"),
        (b"KDMV", "its capacity is 0"),
        (sparse(128) + b'parentFileNameHint="base"', "it names other files"),
    ],
)
def test_an_extent_that_names_files_has_a_fault(data: bytes, fault: str) -> None:
    assert extent_fault(reader(data)) == fault


@given(st.binary(max_size=2048), st.sampled_from([b"KDMV", b"COWD", b"version=1\n"]))
def test_any_bytes_are_read_or_refused(data: bytes, head: bytes) -> None:
    try:
        found = vmdk_files(reader(head + data))
    except (struct.error, UnicodeDecodeError):
        return
    assert all(len(name) < 512 for name in found.extents)
