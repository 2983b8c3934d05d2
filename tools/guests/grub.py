#!/usr/bin/env python3
"""Makes a disk that boots into GRUB's menu, 1024x768 with 32 bits, and prints its path.

Boot graphics as a user meets them: the firmware's text, a moment of GRUB's own, then a VBE mode
that GRUB draws with the processor. Nothing is installed and no disk is written to: the disk's first
sector is GRUB's, and everything else of it follows there.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import debian

PACKAGES = ("grub-pc-bin", "grub-common", "libdevmapper1.02.1")
MODULES = "biosdisk memdisk tar normal test echo sleep font gfxterm vbe all_video minicmd reboot"
#: The larger one leaves no room: what the BIOS reads of GRUB has 480 KB.
FONT = "usr/share/grub/euro.pf2"
#: The arrow keys move the bar; the second entry resets the machine.
MENU = """\
set gfxmode=1024x768x32
loadfont (memdisk)/euro.pf2
terminal_output gfxterm
set timeout=-1
menuentry "Nothing at all" { true }
menuentry "Reset" { reboot }
menuentry "Another one" { true }
"""
#: GRUB loads itself from the sectors behind the first; a disk is whole cylinders to the BIOS.
DISK = 16 << 20


def build() -> Path:
    """Fetches and makes what is missing.

    Raises:
        GuestError: No Debian, or no network and nothing in the cache.
    """
    with debian.locked():
        found = sorted(debian.cache().glob("grub-*"))
        folder = found[-1] if found else _make()
    return folder / "grub.img"


def _make() -> Path:
    apt = debian.Apt()
    folder = debian.cache() / f"grub-{debian.safe(apt.version(PACKAGES[0]))}"
    with debian.appearing(folder) as new:
        root = new / "root"
        root.mkdir()
        for package in apt.download(PACKAGES, new):
            debian.unpack(package, root)
        (new / "menu.cfg").write_text("set prefix=(memdisk)\nnormal (memdisk)/grub.cfg\n")
        _memdisk(
            new / "memdisk.tar", {"grub.cfg": MENU.encode(), "euro.pf2": (root / FONT).read_bytes()}
        )
        modules = root / "usr/lib/grub/i386-pc"
        libraries = [root / "lib/x86_64-linux-gnu", root / "usr/lib/x86_64-linux-gnu"]
        debian.run(
            "env", f"LD_LIBRARY_PATH={os.pathsep.join(map(str, libraries))}",
            root / "usr/bin/grub-mkimage", "-O", "i386-pc", "-d", modules, "-p", "(memdisk)",
            "-c", new / "menu.cfg", "-m", new / "memdisk.tar", "-o", new / "core.img",
            *MODULES.split(),
        )  # fmt: skip
        disk = (modules / "boot.img").read_bytes() + (new / "core.img").read_bytes()
        (new / "grub.img").write_bytes(disk.ljust(DISK, b"\0"))
    return folder


def _memdisk(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def main() -> None:
    """The command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"GRUB: {error}") from error


if __name__ == "__main__":
    main()
