#!/usr/bin/env python3
"""Builds the tiny Linux guest: a Debian kernel and an initramfs with `paint` as its init.

Prints the paths of the kernel and of the initramfs. What is fetched is kept by the kernel
package's version, what is built by the hash of its sources; with both there, this takes no time.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import uncompressed

from kju.guests import boot, debian

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "paint"
MODULES = [
    "bochs",
    "virtio_gpu",
    "cirrus",
    "qxl",
    "vmwgfx",
    "virtio_pci",
    "virtio_mmio",
    "virtio_input",
    "evdev",
    "psmouse",
    "button",
    "usbhid",
    "hid_generic",
    "uhci_hcd",
    "ehci_pci",
    "xhci_pci",
]


class Linux(NamedTuple):
    """What QEMU's -kernel and -initrd take."""

    kernel: Path
    initramfs: Path


def build(*, refresh: bool = False) -> Linux:
    """Fetches and builds what is missing.

    Args:
        refresh: Ask the archive for a newer kernel even where one is in the cache.

    Raises:
        GuestError: No Debian, no network and nothing in the cache, or no compiler.
    """
    with debian.locked():
        parts = _newest_parts()
        if parts is None or refresh:
            parts = _fetch()
        kernel = uncompressed.kept(parts / "vmlinuz", uncompressed.kernel)
        return Linux(kernel, _initramfs(parts))


def _newest_parts() -> Path | None:
    found = sorted(debian.cache().glob("linux-*"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _fetch() -> Path:
    apt = debian.Apt()
    package = boot.newest_kernel(apt)
    folder = debian.cache() / f"linux-{debian.safe(apt.version(package))}"
    if folder.exists():
        return folder
    with debian.appearing(folder) as new:
        boot.unpack_kernel(apt, package, MODULES, new)
        root = new / "root"
        root.mkdir()
        (headers,) = apt.download(["libdrm-dev"], new)
        debian.unpack(headers, root, "./usr/include/libdrm/*")
        (root / "usr" / "include" / "libdrm").rename(new / "include")
        shutil.rmtree(root)
    return folder


def _initramfs(parts: Path) -> Path:
    digest = hashlib.sha256(parts.name.encode())
    for source in sorted([Path(__file__), *SOURCES.glob("*.[ch]")]):
        digest.update(source.read_bytes())
    target = debian.cache() / f"paint-{digest.hexdigest()[:16]}.cpio"
    if not target.exists():
        init = parts / "init.new"
        _compile(init, parts / "include")
        scratch = target.with_suffix(".new")
        scratch.write_bytes(_archive(init, parts))
        scratch.rename(target)
        init.unlink()
        _forget_old(target)
    return target


def _compile(init: Path, include: Path) -> None:
    compiler = os.environ.get("CC", "gcc")
    flags = ["-static", "-O2", "-s", "-std=gnu11", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    debian.run(compiler, *flags, "-isystem", include, *sorted(SOURCES.glob("*.c")), "-o", init)


def _forget_old(newest: Path) -> None:
    """Keeps the last few images: another checkout may be using one."""
    images = sorted(newest.parent.glob("paint-*.cpio"), key=lambda path: path.stat().st_mtime)
    for image in images[:-6]:
        image.unlink()


def _archive(init: Path, parts: Path) -> bytes:
    archive = boot.CpioArchive()
    for folder in ("dev", "proc", "sys", "tmp", "bin", "modules"):
        archive.add(folder, boot.FOLDER)
    archive.add("init", boot.PROGRAM, init.read_bytes())
    archive.add("bin/busybox", boot.PROGRAM, (parts / "busybox").read_bytes())
    for applet in _applets(parts / "busybox"):
        archive.add(f"bin/{applet}", boot.LINK, b"busybox")
    for module in sorted((parts / "modules").iterdir()):
        archive.add(f"modules/{module.name}", boot.FILE, module.read_bytes())
    return archive.finish()


def _applets(busybox: Path) -> Iterable[str]:
    names = subprocess.run(
        [str(busybox), "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    return [name for name in names if name not in {"busybox", "init"}]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--refresh", action="store_true", help="look for a newer kernel")
    try:
        linux = build(refresh=parser.parse_args().refresh)
    except debian.GuestError as error:
        raise SystemExit(f"linux guest: {error}") from error
    print(linux.kernel)
    print(linux.initramfs)


if __name__ == "__main__":
    main()
