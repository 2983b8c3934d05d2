#!/usr/bin/env python3
"""Unpack Debian 12's QEMU 7.2 beside the installed one and print the path of its wrapper.

`KJU_QEMU_OLD` names another old QEMU to use instead.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from kju.guests import debian

LIBRARIES = "usr/lib/x86_64-linux-gnu"
PROGRAM = "usr/bin/qemu-system-x86_64"
MODULES = ("ui-dbus", "ui-opengl", "accel-tcg-x86_64", "hw-display-virtio-vga")
WRAPPER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export QEMU_MODULE_DIR="$here/{libraries}/qemu"
export LD_LIBRARY_PATH="$here/extra/{libraries}:$here/extra/lib/x86_64-linux-gnu"
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
        wrapper.write_text(WRAPPER.format(libraries=LIBRARIES, program=PROGRAM))
        wrapper.chmod(0o755)
        _add_libraries(apt, new)
    return folder


def _missing(root: Path) -> set[str]:
    """Return the missing libraries of the program and of the modules that the tests use."""
    extra = root / "extra"
    path = f"{extra / LIBRARIES}:{extra / 'lib/x86_64-linux-gnu'}"
    modules = [root / LIBRARIES / "qemu" / f"{name}.so" for name in MODULES]
    listing = debian.run("env", f"LD_LIBRARY_PATH={path}", "ldd", root / PROGRAM, *modules)
    return set(re.findall(r"(\S+) => not found", listing))


def _package_of(soname: str) -> str:
    """Return the package of a shared library by Debian's naming rule."""
    match = re.fullmatch(r"(.+?)(?:\.so\.(.+)|-([\d.]+)\.so)", soname)
    if not match:
        raise debian.GuestError(f"no package is known for {soname}")
    name, version = match[1].lower().replace("_", "-"), match[2] or match[3]
    return f"{name}-{version}" if name[-1].isdigit() else f"{name}{version}"


def _add_libraries(apt: debian.Apt, root: Path) -> None:
    """Unpack libraries until none is missing: each may need others."""
    extra = root / "extra"
    extra.mkdir()
    seen: set[str] = set()
    while missing := _missing(root) - seen:
        seen |= missing
        names = sorted({_package_of(soname) for soname in missing})
        for package in apt.download(names, root):
            debian.unpack(package, extra)
    if left := _missing(root):
        raise debian.GuestError(f"QEMU 7.2 wants libraries that were not found: {sorted(left)}")


def main() -> None:
    """Run the command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"QEMU 7.2: {error}") from error


if __name__ == "__main__":
    main()
