#!/usr/bin/env python3
"""Make a disk that boots into GRUB's menu, 1024x768 with 32 bits, and print its path.

The boot graphics of usual machines: the firmware's text, a moment of GRUB's own text, then a VBE
mode that GRUB draws with the processor. Nothing is installed on this computer: GRUB's first sector
and its other parts are written into the file of the disk.
"""

from __future__ import annotations

from pathlib import Path

from kju.guests import boot, debian

MODULES = "biosdisk memdisk tar normal test echo sleep font gfxterm vbe all_video minicmd reboot"
#: The larger one does not fit: the BIOS reads at most 480 KB of GRUB.
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


def build() -> Path:
    """Download and make the missing files.

    Raises:
        GuestError: No Debian, or no network and nothing in the cache.
    """
    with debian.locked():
        found = sorted(debian.cache().glob("grub-*"))
        folder = found[-1] if found else _make()
    return folder / "grub.img"


def _make() -> Path:
    apt = debian.Apt()
    folder = debian.cache() / f"grub-{debian.safe(apt.version(boot.GRUB_PACKAGES[0]))}"
    with debian.appearing(folder) as new:
        root = boot.unpack_grub(apt, new)
        boot.write_disk(
            new / "grub.img",
            root,
            modules=MODULES.split(),
            config="set prefix=(memdisk)\nnormal (memdisk)/grub.cfg\n",
            memdisk={"grub.cfg": MENU.encode(), "euro.pf2": (root / FONT).read_bytes()},
        )
    return folder


def main() -> None:
    """Run the command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"GRUB: {error}") from error


if __name__ == "__main__":
    main()
