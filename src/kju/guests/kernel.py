"""Debian's kernel with the modules that a guest loads, and busybox; nothing is installed."""

from __future__ import annotations

import lzma
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from . import debian

#: The folders of the kernel package in which modules are looked for.
FOLDERS = (
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


def newest(apt: debian.Apt) -> str:
    """Return the name of the package with the release's newest kernel."""
    return next(name for name in apt.depends("linux-image-amd64") if name.startswith("linux-image"))


def unpack(apt: debian.Apt, package: str, modules: Sequence[str], folder: Path) -> None:
    """Download a kernel package and busybox, and keep the guest's parts of them in *folder*.

    Afterwards *folder* holds ``vmlinuz``, ``busybox`` and ``modules/``, with each module as
    NAME.ko and a file ``depends``: one line for each module, its name and those it needs.

    Raises:
        GuestError: A download failed, or the kernel has no such module.
    """
    root = folder / "root"
    root.mkdir()
    (image,) = apt.download([package], folder)
    folders = [f"*/kernel/{name}/*" for name in FOLDERS]
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


def load_order(modules: Path) -> list[str]:
    """Return the names in a ``modules/`` folder, each behind those that it needs."""
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
