"""Disks that boot into GRUB, made without root: no file system is mounted and nothing installed.

The first sector is GRUB's, the rest of GRUB follows, then an optional partition. That partition
is a tar archive, which GRUB reads as a file system.

Source:
    The layout of a master boot record (partition entries from byte 446, signature 55 AA).
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import debian

PACKAGES = ("grub-pc-bin", "grub-common", "libdevmapper1.02.1")
#: Where the partition begins, as every partitioning program has it.
PARTITION = 1 << 20
_SECTOR = 512
#: To a BIOS a disk is whole cylinders.
_SMALLEST = 16 << 20
_ACTIVE, _LINUX = 0x80, 0x83


def unpack(apt: debian.Apt, folder: Path) -> Path:
    """Download GRUB, and return the root of its unpacked packages.

    Raises:
        GuestError: The download failed.
    """
    root = folder / "grub"
    root.mkdir()
    for package in apt.download(PACKAGES, folder):
        debian.unpack(package, root)
    return root


def write(
    disk: Path,
    root: Path,
    *,
    modules: Sequence[str],
    config: str,
    memdisk: Mapping[str, bytes] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a raw disk.

    Args:
        disk: The file; files for grub-mkimage are left beside it.
        root: What `unpack` returned.
        modules: GRUB's modules to put in.
        config: Commands that GRUB runs at once.
        memdisk: Files that are part of GRUB itself, at most some 300 KB.
        files: Files of the partition ``(hd0,msdos1)``.

    Raises:
        GuestError: grub-mkimage failed.
    """
    beside = disk.parent
    (beside / "grub.cfg").write_text(config)
    words: list[str | Path] = ["-c", beside / "grub.cfg"]
    if memdisk:
        (beside / "memdisk.tar").write_bytes(_tar(memdisk))
        words += ["-m", beside / "memdisk.tar"]
    programs = root / "usr/lib/grub/i386-pc"
    libraries = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
    debian.run(
        "env", f"LD_LIBRARY_PATH={os.pathsep.join(map(str, libraries))}",
        root / "usr/bin/grub-mkimage", "-O", "i386-pc", "-d", programs, "-p", "(memdisk)",
        *words, "-o", beside / "core.img", *modules,
    )  # fmt: skip
    boot = bytearray((programs / "boot.img").read_bytes())
    core = (beside / "core.img").read_bytes()
    partition = _tar(files) if files else b""
    if files:
        # GRUB's own code for floppy disks lies where the table is.
        boot[446:510] = _entry(len(partition)).ljust(64, b"\0")
        boot[510:512] = b"\x55\xaa"
    whole = (bytes(boot) + core).ljust(PARTITION, b"\0") + partition
    disk.write_bytes(whole.ljust(max(_SMALLEST, -(-len(whole) // PARTITION) * PARTITION), b"\0"))


def _entry(length: int) -> bytes:
    """Return one active partition's entry, with the largest values for heads and cylinders."""
    sectors = -(-length // _SECTOR)
    places = (PARTITION // _SECTOR).to_bytes(4, "little") + sectors.to_bytes(4, "little")
    return bytes([_ACTIVE, 0xFE, 0xFF, 0xFF, _LINUX, 0xFE, 0xFF, 0xFF]) + places


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
