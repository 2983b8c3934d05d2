#!/usr/bin/env python3
"""Makes a disk that boots into GRUB's menu, 1024x768 with 32 bits, and prints its path.

Boot graphics as a user meets them: the firmware's text, a moment of GRUB's own, then a VBE mode
that GRUB draws with the processor. Nothing is installed and no disk is written to: the disk's first
sector is GRUB's, and everything else of it follows there.
"""

from __future__ import annotations

from pathlib import Path

from kju.guests import boot, debian

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
    """The command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"GRUB: {error}") from error


if __name__ == "__main__":
    main()
