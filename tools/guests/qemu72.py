#!/usr/bin/env python3
"""Unpack Debian 12's QEMU 7.2 beside the installed one and print the path of its wrapper.

`KJU_QEMU_OLD` names another old QEMU to use instead.
"""

from __future__ import annotations

import os
from pathlib import Path

import unpacked
from unpacked import LIBRARIES

from kju.guests import debian

PROGRAM = "usr/bin/qemu-system-x86_64"
#: The modules that the tests use.
MODULES = ("ui-dbus", "ui-opengl", "accel-tcg-x86_64", "hw-display-virtio-vga")
WRAPPER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export QEMU_MODULE_DIR="$here/{libraries}/qemu"
export LD_LIBRARY_PATH="{extra}"
exec "$here/{program}" -L "$here/usr/share/qemu" -L "$here/usr/share/seabios" "$@"
"""


def build() -> Path:
    """Download the missing files.

    Raises:
        GuestError: No Debian, or no network and nothing in the cache.
    """
    if given := os.environ.get("KJU_QEMU_OLD"):
        return Path(given)
    with debian.locked():
        found = sorted(debian.cache().glob("qemu-1-7.2*"))
        folder = found[-1] if found else _fetch()
    return folder / "qemu-7.2"


def _fetch() -> Path:
    apt = debian.Apt()
    packages = ["qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios"]
    folder = debian.cache() / f"qemu-{debian.safe(apt.version(packages[0]))}"
    with debian.appearing(folder) as new:
        for package in apt.download(packages, new):
            debian.unpack(package, new)
        wrapper = new / "qemu-7.2"
        extra = ":".join(f"$here/{each}" for each in unpacked.EXTRA)
        wrapper.write_text(WRAPPER.format(libraries=LIBRARIES, program=PROGRAM, extra=extra))
        wrapper.chmod(0o755)
        modules = [new / LIBRARIES / "qemu" / f"{name}.so" for name in MODULES]
        unpacked.add_libraries(apt, new, [new / PROGRAM, *modules])
    return folder


def main() -> None:
    """Run the command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"QEMU 7.2: {error}") from error


if __name__ == "__main__":
    main()
