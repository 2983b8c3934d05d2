"""The kind of an image: a disk, a CD or a kernel. I/O-free: the shell reads `head`.

A guest writes its disk's contents, so they must not decide the format at the next start. The
format comes from a known suffix; otherwise QEMU probes it, and then keeps the guest of a raw disk
from writing another format's signature into the first sector. It is never chosen from the contents
here.

Source:
    Multiboot specification 0.6.96, section 3.1 (header); Linux boot protocol ("HdrS");
    ECMA-119 (ISO 9660) 8.1; Linux's Documentation/arch/arm64/booting.rst; file(1)'s magic of
    compressed files and archives.
"""

from __future__ import annotations

import shlex
from enum import Enum
from pathlib import PurePath
from typing import NamedTuple

from ..errors import UsageError

#: Bytes of a file that `classify` needs: the signature of an ISO is at 32 KiB.
HEAD = 0x8806
#: Bytes of a disk's smallest unit.
_SECTOR = 512
#: The beginning of a VMDK whose data is in other files: a text of any size.
_DESCRIPTION = b"# Disk DescriptorFile"

#: Compressed files by their first bytes, and the filter that expands each.
_COMPRESSED = (
    (b"\x1f\x8b", "compressed with gzip", "gunzip"),
    (b"\xfd7zXZ\0", "compressed with xz", "unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd"),
    (b"BZh", "compressed with bzip2", "bunzip2"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "unlz4"),
    (b"\x02\x21\x4c\x18", "compressed with lz4", "unlz4"),
    (b"\x89LZO\0\r\n\x1a\n", "compressed with lzop", "lzop -d"),
    (b"\x5d\0\0", "compressed with lzma", "unlzma"),
    (b"\x1f\x9d", "compressed with compress", "gunzip"),
    (b"LZIP", "compressed with lzip", "lzip --decompress"),
)
#: Archives by their first bytes, and the command that unpacks each.
_ARCHIVES = (
    (b"PK\x03\x04", "a zip archive", "unzip"),
    (b"PK\x05\x06", "an empty zip archive", "unzip"),
    (b"PK\x07\x08", "a part of a split zip archive", "7z x"),
    (b"PK00PK", "a zip archive", "7z x"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    (b"Rar!\x1a\x07", "a rar archive", "unrar x"),
    (b"MSCF\0\0\0\0", "a cabinet archive", "cabextract"),
    (b"MSWIM\0\0\0", "a WIM archive", "7z x"),
    (b"\xed\xab\xee\xdb", "an RPM package", "7z x"),
    (b"!<arch>\n", "an ar archive", "ar x"),
)
#: Text files that a server sends in place of an image, by their first bytes in lower case.
_INSTEAD = (
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML file"),
    (b"version https://git-lfs.github.com/spec/", "a pointer of Git LFS"),
)
_COMPRESSED_SUFFIXES = {
    *(".gz", ".xz", ".zst", ".zstd", ".bz2", ".lz4", ".lz", ".lzma", ".lzo", ".z"),
}
_TAR = (b"ustar\x0000", b"ustar  \0")

_MULTIBOOT = 0x1BADB002
_DISKS = {".qcow2": "qcow2", ".raw": "raw"}
_PROBED = {".img", ".qcow", ".vmdk", ".vdi", ".vhd", ".vhdx", ".vpc", ".qed"}
_KERNELS = {".exec", ".elf", ".multiboot", ".bzimage"}


class Kind(Enum):
    """The use of an image by QEMU."""

    DISK = "disk"
    CDROM = "cdrom"
    KERNEL = "kernel"


class Image(NamedTuple):
    """An image.

    Attributes:
        path: Absolute.
        kind: Its kind.
        disk_format: QEMU's name of the format; empty to let QEMU probe.
        reason: How that was decided, for messages.
        read_only: Whether QEMU must not write to it.
        backing_formats: The depth (from 1) and the format of each backing file whose format the
            layer above does not name.
    """

    path: str
    kind: Kind
    disk_format: str
    reason: str
    read_only: bool = False
    backing_formats: tuple[tuple[int, str], ...] = ()


def classify(path: str, head: bytes, *, read_only: bool = False) -> Image:
    """Return the kind of an image.

    Raises:
        UsageError: It is a kernel of a kind that QEMU cannot start, or it is empty, compressed, an
            archive, a web page, or smaller than a sector without a known suffix. A name ending in
            .raw is trusted, whatever the file's contents.
    """
    suffix = PurePath(path).suffix.lower()
    if not head:
        raise UsageError(f"the image {path} is empty (0 bytes); was it downloaded whole?")
    if suffix != ".raw" and suffix not in _KERNELS:
        _refuse_packed(path, head)
        _refuse_instead(path, head)
    if suffix == ".iso":
        return Image(path, Kind.CDROM, "raw", "its name ends in .iso", True)
    if suffix in _DISKS:
        return Image(path, Kind.DISK, _DISKS[suffix], f"its name ends in {suffix}", read_only)
    if suffix in _PROBED:
        return Image(path, Kind.DISK, "", f"its name ends in {suffix}; QEMU probes it", read_only)
    if suffix in _KERNELS:
        return Image(path, Kind.KERNEL, "", f"its name ends in {suffix}", True)
    if kernel := _kernel(head):
        return Image(path, Kind.KERNEL, "", f"it begins like {kernel}", True)
    if head[0x8001:0x8006] == b"CD001":
        return Image(path, Kind.CDROM, "raw", "it is an ISO 9660 file system", True)
    if len(head) < _SECTOR and not head.startswith(_DESCRIPTION):
        raise UsageError(
            f"the image {path} has {len(head)} bytes, less than one sector ({_SECTOR} bytes): it is"
            " not a disk"
        )
    return Image(path, Kind.DISK, "", "it is taken for a disk; QEMU probes it", read_only)


def _refuse_packed(path: str, head: bytes) -> None:
    shown = shlex.quote(path)
    what, command = "", ""
    for magic, kind, expand in _COMPRESSED:
        if head.startswith(magic) and (expand != "unlzma" or _is_lzma(head)):
            name = PurePath(path)
            # disk.img.gz holds disk.img; a file without such a suffix gets a new name.
            known = name.suffix.lower() in _COMPRESSED_SUFFIXES
            into = name.with_suffix("") if known else name.with_stem(f"{name.stem}-expanded")
            what, command = kind, f"{expand} < {shown} > {shlex.quote(str(into))}"
    for magic, kind, unpack in _ARCHIVES:
        if head.startswith(magic):
            what, command = kind, f"{unpack} {shown}"
    if head[257:265] in _TAR:
        what, command = "a tar archive", f"tar -xf {shown}"
    if what:
        raise UsageError(
            f"the image {path} is {what}, which QEMU does not read as a disk; unpack it first:"
            f" {command}"
        )


def _is_lzma(head: bytes) -> bool:
    """Return whether the bytes are an LZMA header: the format has no signature.

    It has the size of the dictionary (2^n or 2^n + 2^(n-1)) and the size of the contents, or -1.
    """
    dictionary, size = (int.from_bytes(head[a:b], "little") for a, b in ((1, 5), (5, 13)))
    top = 1 << (dictionary.bit_length() - 1) if dictionary else 0
    known = size == (1 << 64) - 1 or 0 < size < 1 << 48
    return len(head) > 13 and top >= 4096 and dictionary in (top, top + top // 2) and known


def _refuse_instead(path: str, head: bytes) -> None:
    text = head[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for begin, what in _INSTEAD:
        if text.startswith(begin):
            raise UsageError(
                f"the image {path} is {what}, not a disk: perhaps a download failed; look at it"
                f" with: head -c 512 {shlex.quote(path)}"
            )


def _kernel(head: bytes) -> str:
    if head[0x202:0x206] == b"HdrS" or head[0x38:0x3C] in (b"ARM\x64", b"RSC\x05"):
        return "a Linux kernel"
    if _multiboot(head):
        return "a multiboot kernel"
    if head.startswith(b"\x7fELF"):
        return "an ELF kernel"
    if b"\xd6\x50\x52\xe8" in head[:0x8000]:
        raise UsageError(
            "this is a Multiboot2 kernel, which QEMU cannot start by itself;"
            " put it on an ISO with a boot loader (grub-mkrescue)"
        )
    return ""


def _multiboot(head: bytes) -> bool:
    """Return whether the first 8 KiB hold a header with a correct checksum."""
    for at in range(0, min(len(head), 8192) - 11, 4):
        magic, flags, checksum = (
            int.from_bytes(head[i : i + 4], "little") for i in (at, at + 4, at + 8)
        )
        if magic == _MULTIBOOT and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return True
    return False
