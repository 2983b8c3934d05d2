"""The Debian packages that data is generated from, unpacked but not installed.

All are of one release, independent of this computer's, so that the files are the same everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kju.guests import debian

#: The packages that name keys and layouts, and the files of each that are read.
PACKAGES = {
    "libvirt-clients": "./usr/share/man/man7/virkeycode-qnum.7.gz",
    "linux-libc-dev": "./usr/include/linux/input-event-codes.h",
    "novnc": "./usr/share/novnc/core/input/xtscancodes.js",
    "xkb-data": "./usr/share/X11/xkb/*",
    "libx11-data": "./usr/share/X11/locale/en_US.UTF-8/Compose",
}


class Sources(NamedTuple):
    """The folders of the unpacked packages, and their versions."""

    root: Path
    versions: dict[str, str]

    def version(self, package: str) -> str:
        """Return the package's name and version, without Debian's revision."""
        return f"{package} {self.versions[package].partition(':')[2] or self.versions[package]}"


def sources(
    name: str = "keys", packages: dict[str, str] = PACKAGES, *, refresh: bool = False
) -> Sources:
    """Unpack packages into a folder of the cache.

    Args:
        name: The folder's name. It is filled once.
        packages: The packages, each with a pattern of the files to unpack.
        refresh: Fetch the newest versions also when the folder exists.

    Raises:
        debian.GuestError: No network and nothing in the cache, or this is no Debian.
    """
    with debian.locked():
        folder = debian.cache() / name
        if refresh or not (folder / "versions").exists():
            _fetch(folder, packages)
    lines = (folder / "versions").read_text().splitlines()
    return Sources(folder, dict(line.split() for line in lines))


def _fetch(folder: Path, packages: dict[str, str]) -> None:
    apt = debian.Apt()
    versions = {package: apt.version(package) for package in packages}
    with debian.appearing(folder) as new:
        for package, pattern in packages.items():
            (archive,) = apt.download([package], new)
            debian.unpack(archive, new, pattern)
        (new / "versions").write_text("".join(f"{p} {v}\n" for p, v in versions.items()))
