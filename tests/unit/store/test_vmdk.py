"""Find the files that a VMDK names."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.store.vmdk import Names, Read, extent_fault, is_vmdk, names

DESCRIPTION = b'# Disk DescriptorFile\nversion=1\nRW 128 FLAT "data.vmdk" 0\n'


def reader(data: bytes) -> Read:
    return lambda offset, size: data[offset : offset + size]


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
    assert names(reader(text)) == Names("base.vmdk", ("data.vmdk", "b.vmdk"), "")


def test_an_image_with_a_capacity_holds_its_data_itself() -> None:
    assert names(reader(sparse(128, 1, DESCRIPTION))).extents == ()
    assert names(reader(sparse(0, 1, DESCRIPTION))).extents == ("data.vmdk",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"RW 128", "line 4 is neither a setting nor an extent"),
        (b'RW 1 FLAT "' + b"d" * 512 + b'" 0', "line 4 has too long a name"),
        (b'parentFileNameHint="x', "the name of its parent does not end"),
    ],
)
def test_an_ambiguous_description_has_a_reason(line: bytes, reason: str) -> None:
    assert names(reader(DESCRIPTION + line + b"\n")).unclear.startswith(reason)


def test_a_description_ends_at_a_zero_byte() -> None:
    assert names(reader(DESCRIPTION + b'\0RW 1 FLAT "other" 0\n')).extents == ("data.vmdk",)


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
        found = names(reader(head + data))
    except (struct.error, UnicodeDecodeError):
        return
    assert all(len(name) < 512 for name in found.extents)
