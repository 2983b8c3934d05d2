"""The kind of an image: by its name and its first bytes."""

from __future__ import annotations

import gzip
import lzma

import pytest

from kju.errors import UsageError
from kju.store.image import Kind, classify

MULTIBOOT = b"\0" * 16 + (0x1BADB002).to_bytes(4, "little") + b"\0" * 4
MULTIBOOT += (-0x1BADB002 & 0xFFFFFFFF).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("path", "head", "kind", "disk_format"),
    [
        ("/a.iso", b"x", Kind.CDROM, "raw"),
        ("/a.QCOW2", b"x", Kind.DISK, "qcow2"),
        ("/a.raw", b"QFI\xfb", Kind.DISK, "raw"),
        ("/a.img", b"QFI\xfb", Kind.DISK, ""),
        ("/a.img", b"\x7fELF", Kind.DISK, ""),
        ("/a", b"\x7fELF", Kind.KERNEL, ""),
        ("/a.exec", b"x", Kind.KERNEL, ""),
        ("/a", MULTIBOOT, Kind.KERNEL, ""),
        ("/a", (MULTIBOOT[:-1] + b"\0").ljust(512, b"\0"), Kind.DISK, ""),
        ("/vmlinuz", b"\0" * 0x202 + b"HdrS", Kind.KERNEL, ""),
        ("/a", b"\0" * 0x8001 + b"CD001", Kind.CDROM, "raw"),
        ("/a", b"x" * 512, Kind.DISK, ""),
    ],
)
def test_images_are_classified(path: str, head: bytes, kind: Kind, disk_format: str) -> None:
    found = classify(path, head)
    assert (found.kind, found.disk_format) == (kind, disk_format)
    assert found.reason


@pytest.mark.parametrize(
    ("path", "head", "command"),
    [
        ("/a b.img.gz", b"\x1f\x8b\x08", "gunzip < '/a b.img.gz' > '/a b.img'"),
        ("/a.qcow2", b"\x1f\x8b\x08", "gunzip < /a.qcow2 > /a-expanded.qcow2"),
        ("/a.iso", b"\xfd7zXZ\0", "unxz < /a.iso > /a-expanded.iso"),
        ("/a.img.zst", b"\x28\xb5\x2f\xfd", "unzstd < /a.img.zst > /a.img"),
        ("/a.bz2", b"BZh9", "bunzip2 < /a.bz2 > /a"),
        ("/a.zip", b"PK\x03\x04", "unzip /a.zip"),
        ("/a.img", b"7z\xbc\xaf\x27\x1c", "7z x /a.img"),
        ("/a.img.lzma", lzma.compress(b"x", lzma.FORMAT_ALONE), "unlzma < /a.img.lzma > /a.img"),
        ("/a.img.lzma", b"]\0\0\x80\0\x09" + bytes(8), "unlzma < /a.img.lzma > /a.img"),
        ("/a.img.lzo", b"\x89LZO\0\r\n\x1a\n", "lzop -d < /a.img.lzo > /a.img"),
        ("/a.img.Z", b"\x1f\x9d\x90", "gunzip < /a.img.Z > /a.img"),
        (
            "/Image",
            gzip.compress(bytes(56) + b"ARM\x64", mtime=0),
            "gunzip < /Image > /Image-expanded",
        ),
        ("/a.z01", b"PK\x07\x08PK\x03\x04", "7z x /a.z01"),
        ("/a.img", b"PK00PK\x03\x04", "7z x /a.img"),
        ("/a.cab", b"MSCF\0\0\0\0", "cabextract /a.cab"),
        ("/a.img", b"MSWIM\0\0\0", "7z x /a.img"),
        ("/a.rpm", b"\xed\xab\xee\xdb", "7z x /a.rpm"),
        ("/a.deb", b"!<arch>\n", "ar x /a.deb"),
        ("/a.ova", bytes(257) + b"ustar\x0000", "tar -xf /a.ova"),
    ],
)
def test_a_packed_image_is_refused_with_the_command(path: str, head: bytes, command: str) -> None:
    with pytest.raises(UsageError) as caught:
        classify(path, head)
    assert str(caught.value).endswith(f"does not read as a disk; unpack it first: {command}")
    # A raw disk may begin with anything.
    assert classify("/a.raw", head).disk_format == "raw"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"<!DOCTYPE html>\n<title>404</title>", "a web page"),
        (b"\xef\xbb\xbf\r\n <HTML lang=en>", "a web page"),
        (b"<?xml version='1.0'?><Error/>", "an XML file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of Git LFS"),
    ],
)
def test_web_page_in_place_of_an_image_is_rejected(head: bytes, what: str) -> None:
    for path in ("/a.iso", "/a.qcow2", "/a.img", "/a"):
        with pytest.raises(
            UsageError, match=f"is {what}, not a disk: perhaps a download failed; look"
        ):
            classify(path, head)
    assert classify("/a.raw", head).disk_format == "raw"


def test_a_disk_that_begins_like_lzma_is_a_disk() -> None:
    for head in (b"]\0\0" + bytes(509), b"]\0\0\x37\x12" + b"\xff" * 8 + bytes(99)):
        assert classify("/a.img", head).kind is Kind.DISK


def test_an_empty_image_is_refused() -> None:
    with pytest.raises(UsageError, match="is empty"):
        classify("/a.iso", b"")


def test_error_for_multiboot2_names_an_alternative() -> None:
    with pytest.raises(UsageError, match="grub-mkrescue"):
        classify("/a", (0xE85250D6).to_bytes(4, "little"))
