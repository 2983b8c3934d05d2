#!/usr/bin/env python3
"""Builds the tiny Linux guest: a Debian kernel and an initramfs with `paint` as its init.

Prints the paths of the kernel and of the initramfs. What is fetched is kept by the kernel
package's version, what is built by the hash of its sources; with both there, this takes no time.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cpio
import debian

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
MODULE_FOLDERS = [
    "gpu/drm",
    "virtio",
    "input",
    "hid",
    "usb",
    "i2c",
    "acpi",
    "platform",
    "video",
    "firmware",
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
        return Linux(parts / "vmlinuz", _initramfs(parts))


def _newest_parts() -> Path | None:
    found = sorted(debian.cache().glob("linux-*"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def _fetch() -> Path:
    apt = debian.Apt()
    kernel = next(
        name for name in apt.depends("linux-image-amd64") if name.startswith("linux-image-")
    )
    folder = debian.cache() / f"linux-{debian.safe(apt.version(kernel))}"
    if folder.exists():
        return folder
    with debian.appearing(folder) as new:
        root = new / "root"
        root.mkdir()
        for package in apt.download([kernel, "busybox-static", "libdrm-dev"], new):
            patterns = (
                [
                    "./boot/vmlinuz-*",
                    *(f"*/kernel/drivers/{name}/*" for name in MODULE_FOLDERS),
                    "*/kernel/lib/*",
                    "*/modules.builtin",
                ]
                if package.name.startswith("linux-image")
                else ["./bin/busybox", "./usr/share/doc/busybox-static/copyright"]
                if package.name.startswith("busybox")
                else ["./usr/include/libdrm/*"]
            )
            debian.unpack(package, root, *patterns)
        next(root.glob("boot/vmlinuz-*")).rename(new / "vmlinuz")
        (root / "bin" / "busybox").rename(new / "busybox")
        (root / "usr" / "include" / "libdrm").rename(new / "include")
        _keep_modules(root, new / "modules")
        shutil.rmtree(root)
    return folder


def _keep_modules(root: Path, out: Path) -> None:
    """Copies the modules the guest may load and what they need, unpacked, and lists the needs."""
    available = {path.name.split(".ko")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    builtin = {
        Path(line).stem.replace("-", "_")
        for file in root.rglob("modules.builtin")
        for line in file.read_text().splitlines()
    }
    out.mkdir()
    needs: dict[str, list[str]] = {}
    waiting = list(MODULES)
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


def _initramfs(parts: Path) -> Path:
    digest = hashlib.sha256(parts.name.encode())
    for source in sorted([Path(__file__), *SOURCES.glob("*.[ch]")]):
        digest.update(source.read_bytes())
    target = debian.cache() / f"paint-{digest.hexdigest()[:16]}.cpio.gz"
    if not target.exists():
        init = parts / "init.new"
        _compile(init, parts / "include")
        scratch = target.with_suffix(".new")
        scratch.write_bytes(gzip.compress(_archive(init, parts), 6, mtime=0))
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
    images = sorted(newest.parent.glob("paint-*.cpio.gz"), key=lambda path: path.stat().st_mtime)
    for image in images[:-6]:
        image.unlink()


def _archive(init: Path, parts: Path) -> bytes:
    archive = cpio.Archive()
    for folder in ("dev", "proc", "sys", "tmp", "bin", "modules"):
        archive.add(folder, cpio.FOLDER)
    archive.add("init", cpio.PROGRAM, init.read_bytes())
    archive.add("bin/busybox", cpio.PROGRAM, (parts / "busybox").read_bytes())
    for applet in _applets(parts / "busybox"):
        archive.add(f"bin/{applet}", cpio.LINK, b"busybox")
    for module in sorted((parts / "modules").iterdir()):
        archive.add(f"modules/{module.name}", cpio.FILE, module.read_bytes())
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
