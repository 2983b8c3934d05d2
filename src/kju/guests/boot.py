"""The parts that a guest boots from: kernel and modules, initramfs, a disk with GRUB."""

from __future__ import annotations

import io
import lzma
import os
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import debian

GRUB_PACKAGES = ("grub-pc-bin", "grub-common", "libdevmapper1.02.1")
#: The partition's first byte, as partitioning programs place it.
_PARTITION = 1 << 20
_SECTOR = 512
#: The smallest disk: a BIOS counts whole cylinders.
_SMALLEST = 16 << 20
_ACTIVE, _LINUX = 0x80, 0x83
#: The folders of the kernel package that are searched for modules.
_MODULE_FOLDERS = (
    "drivers/gpu/drm",
    "drivers/virtio",
    "drivers/input",
    "drivers/hid",
    "drivers/usb",
    "drivers/i2c",
    "drivers/acpi",
    "drivers/platform",
    "drivers/video",
    "drivers/firmware",
    "lib",
)
#: Modes of the entries of a `CpioArchive`.
FOLDER, FILE, PROGRAM, LINK = 0o040755, 0o100644, 0o100755, 0o120777


def newest_kernel(apt: debian.Apt) -> str:
    """Return the name of the package with the release's newest kernel."""
    return next(name for name in apt.depends("linux-image-amd64") if name.startswith("linux-image"))


def unpack_kernel(apt: debian.Apt, package: str, modules: Sequence[str], folder: Path) -> None:
    """Download a kernel package and busybox, and unpack the guest's parts into *folder*.

    The folder then holds ``vmlinuz``, ``busybox`` and ``modules/``: each module as NAME.ko, and a
    file ``depends`` with a line for each module, its name and the names of those it needs.

    Raises:
        GuestError: A download failed, or the kernel has no such module.
    """
    root = folder / "root"
    root.mkdir()
    (image,) = apt.download([package], folder)
    folders = [f"*/kernel/{name}/*" for name in _MODULE_FOLDERS]
    debian.unpack(image, root, "./boot/vmlinuz-*", *folders, "*/modules.builtin")
    (busybox,) = apt.download(["busybox-static"], folder)
    debian.unpack(busybox, root, "./bin/busybox")
    next(root.glob("boot/vmlinuz-*")).rename(folder / "vmlinuz")
    (root / "bin" / "busybox").rename(folder / "busybox")
    _keep_modules(root, modules, folder / "modules")
    shutil.rmtree(root)


def _keep_modules(root: Path, modules: Sequence[str], out: Path) -> None:
    """Copy modules and their dependencies, decompressed, and list the dependencies."""
    available = {path.name.split(".ko")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    builtin = {
        Path(line).stem.replace("-", "_")
        for file in root.rglob("modules.builtin")
        for line in file.read_text().splitlines()
    }
    out.mkdir()
    needs: dict[str, list[str]] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in needs or name in builtin:
            continue
        if name not in available:
            raise debian.GuestError(f"the kernel package has no module {name}")
        content = available[name].read_bytes()
        if available[name].suffix == ".xz":
            content = lzma.decompress(content)
        (out / f"{name}.ko").write_bytes(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        words = depends.group(1).decode().replace("-", "_") if depends else ""
        needs[name] = [word for word in words.split(",") if word and word not in builtin]
        waiting += needs[name]
    lines = (f"{name} {' '.join(needs[name])}".strip() for name in sorted(needs))
    (out / "depends").write_text("\n".join(lines) + "\n")


def module_order(modules: Path) -> list[str]:
    """Return the modules in a ``modules/`` folder in loading order: needed ones first."""
    lines = (modules / "depends").read_text().splitlines()
    needs = {words[0]: words[1:] for words in map(str.split, lines)}
    order: list[str] = []

    def add(name: str) -> None:
        for needed in needs[name]:
            add(needed)
        if name not in order:
            order.append(name)

    for name in needs:
        add(name)
    return order


class CpioArchive:
    """A new archive in the "newc" form. A kernel accepts several archives in one file.

    Source:
        The kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, name: str, mode: int, content: bytes = b"") -> None:
        """Add a file, folder or link; the content of a link is its target."""
        fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self._append(b"070701" + b"".join(b"%08X" % f for f in fields) + name.encode() + b"\0")
        self._append(content)

    def finish(self) -> bytes:
        """Return the whole archive."""
        self.add("TRAILER!!!", 0)
        return bytes(self._bytes)

    def _append(self, content: bytes) -> None:
        self._bytes += content
        self._bytes += bytes(-len(self._bytes) % 4)


def unpack_grub(apt: debian.Apt, folder: Path) -> Path:
    """Download GRUB, and return the root of its unpacked packages.

    Raises:
        GuestError: The download failed.
    """
    root = folder / "grub"
    root.mkdir()
    for package in apt.download(GRUB_PACKAGES, folder):
        debian.unpack(package, root)
    return root


def write_disk(
    disk: Path,
    root: Path,
    *,
    modules: Sequence[str],
    config: str,
    memdisk: Mapping[str, bytes] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a raw disk that boots into GRUB.

    The first sector is GRUB's, the rest of GRUB follows, then an optional partition. The partition
    is a tar archive, which GRUB reads as a file system. Nothing is mounted or
    installed, and root is not needed.

    Args:
        disk: The file to write; files for grub-mkimage are left beside it.
        root: The folder from `unpack_grub`.
        modules: The modules of GRUB to include.
        config: The commands that GRUB runs at its start.
        memdisk: Files inside GRUB itself, at most some 300 KB.
        files: Files in the partition ``(hd0,msdos1)``.

    Raises:
        GuestError: grub-mkimage failed.

    Source:
        The layout of a master boot record (partition entries from byte 446, signature 55 AA).
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
        # The partition table replaces GRUB's code for floppy disks.
        boot[446:510] = _entry(len(partition)).ljust(64, b"\0")
        boot[510:512] = b"\x55\xaa"
    whole = (bytes(boot) + core).ljust(_PARTITION, b"\0") + partition
    disk.write_bytes(whole.ljust(max(_SMALLEST, -(-len(whole) // _PARTITION) * _PARTITION), b"\0"))


def _entry(length: int) -> bytes:
    """Return the entry of an active partition, with the largest heads and cylinders."""
    sectors = -(-length // _SECTOR)
    places = (_PARTITION // _SECTOR).to_bytes(4, "little") + sectors.to_bytes(4, "little")
    return bytes([_ACTIVE, 0xFE, 0xFF, 0xFF, _LINUX, 0xFE, 0xFF, 0xFF]) + places


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()
