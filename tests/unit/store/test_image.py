"""Detect the kind of an image from its name and first bytes."""

from __future__ import annotations

import struct

import pytest

from kju.errors import UsageError
from kju.store.image import HEAD, Kind, classify

QCOW2 = b"QFI\xfb\0\0\0\3".ljust(512, b"\0")
ISO = (b"\0" * 0x8001 + b"CD001").ljust(HEAD, b"\0")
MULTIBOOT = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF).ljust(512, b"\0")


@pytest.mark.parametrize(
    ("name", "head", "kind", "disk_format"),
    [
        ("a.qcow2", QCOW2, Kind.DISK, "qcow2"),
        ("a.raw", QCOW2, Kind.DISK, "raw"),
        ("a.raw", b"\x1f\x8b packed", Kind.DISK, "raw"),
        ("a.img", QCOW2, Kind.DISK, ""),
        ("a.vmdk", b"KDMV", Kind.DISK, ""),
        ("a.iso", ISO, Kind.CDROM, "raw"),
        ("a.exec", MULTIBOOT, Kind.KERNEL, ""),
    ],
)
def test_a_name_decides_before_the_contents(
    name: str, head: bytes, kind: Kind, disk_format: str
) -> None:
    """A guest writes the contents of its disk, and must not choose how it is opened."""
    image = classify(f"/x/{name}", head)
    assert (image.kind, image.disk_format) == (kind, disk_format)
    assert image.reason


@pytest.mark.parametrize(
    ("name", "head", "reason"),
    [
        ("a.img", b"", r"is empty \(0 bytes\)"),
        ("a.img.gz", b"\x1f\x8b", "gunzip < /x/a.img.gz > /x/a.img$"),
        ("a.img", b"\xfd7zXZ\0", "compressed with xz"),
        ("a.img", b"PK\x03\x04", "unzip /x/a.img$"),
        ("a.img", bytes(257) + b"ustar\x0000", "tar -xf /x/a.img$"),
        ("a.img", b"\xef\xbb\xbf <!DOCTYPE html>", "is a web page, not a disk"),
        ("a.qcow2", b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    ],
)
def test_a_file_that_is_not_an_image_is_refused_with_a_command(
    name: str, head: bytes, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        classify(f"/x/{name}", head)


def test_a_file_smaller_than_a_sector_is_not_a_disk() -> None:
    with pytest.raises(UsageError, match=r"^the image /x/notes has 6 bytes, less than one sector"):
        classify("/x/notes", b"notes\n")
    assert classify("/x/notes", bytes(512)).kind is Kind.DISK
    assert classify("/x/disk", b"# Disk DescriptorFile\n").kind is Kind.DISK
