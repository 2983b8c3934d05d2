#!/usr/bin/env python3
"""Unpack Debian 12's graphical installer and print the paths of its kernel and initrd.

A desktop-like guest without a disk. With the kernel argument `vga=0x344` it draws in a 32-bit VBE
mode of 1024x768, with `vga=0x318` in one of 24 bits.
"""

from __future__ import annotations

from pathlib import Path

import uncompressed

from kju.guests import debian

PACKAGE = "debian-installer-12-netboot-amd64"
CHANGES = {"linux": uncompressed.kernel, "initrd.gz": uncompressed.archive}
INSIDE = "*/gtk/debian-installer/amd64/"


def build() -> list[Path]:
    """Download the missing files: 133 MB.

    Raises:
        GuestError: No Debian, or no network and nothing in the cache.
    """
    with debian.locked():
        found = sorted(debian.cache().glob("installer-*"))
        folder = found[-1] if found else _fetch()
        return [uncompressed.kept(folder / name, change) for name, change in CHANGES.items()]


def _fetch() -> Path:
    apt = debian.Apt()
    folder = debian.cache() / f"installer-{debian.safe(apt.version(PACKAGE))}"
    with debian.appearing(folder) as new:
        for package in apt.download([PACKAGE], new):
            debian.unpack(package, new, *(f"{INSIDE}{name}" for name in CHANGES))
        for name in CHANGES:
            unpacked = next(new.glob(f"**/gtk/debian-installer/amd64/{name}"), None)
            if unpacked is None:
                raise debian.GuestError(f"{PACKAGE} has no gtk/debian-installer/amd64/{name}")
            unpacked.rename(new / name)
    return folder


def main() -> None:
    """Run the command line."""
    try:
        print(*build(), sep="\n")
    except debian.GuestError as error:
        raise SystemExit(f"Debian's installer: {error}") from error


if __name__ == "__main__":
    main()
