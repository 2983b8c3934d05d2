"""What an IMAGE is: a disk, a CD or a kernel. I/O-free; `head` is read by the shell.

A disk's contents are written by the guest, so they must not decide how the next start
reads the disk. A suffix that says what the file is, is believed; every other disk is
left to QEMU's own probing, which keeps a raw disk's guest from writing another format's
signature into the first sector. Never is a format chosen from the contents here.

Source:
    Multiboot specification 0.6.96, section 3.1 (header); Linux boot protocol ("HdrS");
    ECMA-119 (ISO 9660) 8.1.
"""

from __future__ import annotations

from enum import Enum
from pathlib import PurePath
from typing import NamedTuple

from ..errors import UsageError

#: How much of a file `classify` wants: the signature of an ISO lies at 32 KiB.
HEAD = 0x8806

_MULTIBOOT = 0x1BADB002
_DISKS = {".qcow2": "qcow2", ".raw": "raw"}
_PROBED = {".img", ".qcow", ".vmdk", ".vdi", ".vhd", ".vhdx", ".vpc", ".qed"}
_KERNELS = {".exec", ".elf", ".multiboot", ".bzimage"}


class Kind(Enum):
    """What QEMU is to do with it."""

    DISK = "disk"
    CDROM = "cdrom"
    KERNEL = "kernel"


class Image(NamedTuple):
    """An image.

    Attributes:
        path: Absolute.
        kind: What it is.
        disk_format: QEMU's name of the format; empty to let QEMU probe.
        reason: How that was decided, for people.
        read_only: Whether QEMU must not write to it.
        backing_formats: Of backing files whose layer does not name their format: how deep each
            is, from 1, and its format.
    """

    path: str
    kind: Kind
    disk_format: str
    reason: str
    read_only: bool = False
    backing_formats: tuple[tuple[int, str], ...] = ()


def classify(path: str, head: bytes, *, read_only: bool = False) -> Image:
    """Decide what an image is.

    Raises:
        UsageError: It is a kernel of a kind that QEMU cannot start.
    """
    suffix = PurePath(path).suffix.lower()
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
    return Image(path, Kind.DISK, "", "it is taken for a disk; QEMU probes it", read_only)


def _kernel(head: bytes) -> str:
    if head[0x202:0x206] == b"HdrS":
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
    """Whether a header whose checksum is right lies in the first 8 KiB."""
    for at in range(0, min(len(head), 8192) - 11, 4):
        magic, flags, checksum = (
            int.from_bytes(head[i : i + 4], "little") for i in (at, at + 4, at + 8)
        )
        if magic == _MULTIBOOT and (magic + flags + checksum) & 0xFFFFFFFF == 0:
            return True
    return False
