"""Programs of Debian packages that are unpacked beside the installed ones, with their libraries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from kju.guests import debian

LIBRARIES = "usr/lib/x86_64-linux-gnu"
#: The folders of the added libraries, below the root, for LD_LIBRARY_PATH.
EXTRA = (f"extra/{LIBRARIES}", "extra/lib/x86_64-linux-gnu")


def add_libraries(apt: debian.Apt, root: Path, programs: Sequence[Path]) -> None:
    """Unpack libraries below *root* until these programs miss none: each may need others.

    Raises:
        GuestError: No package has one of the libraries.
    """
    extra = root / "extra"
    extra.mkdir()
    seen: set[str] = set()
    while missing := _missing(root, programs) - seen:
        seen |= missing
        names = sorted({_package_of(soname) for soname in missing})
        for package in apt.download(names, root):
            debian.unpack(package, extra)
    if left := _missing(root, programs):
        raise debian.GuestError(f"{programs[0].name} needs libraries that no package has: {left}")


def _missing(root: Path, programs: Sequence[Path]) -> set[str]:
    """Return the missing libraries of programs and modules."""
    path = ":".join(str(root / folder) for folder in EXTRA)
    listing = debian.run("env", f"LD_LIBRARY_PATH={path}", "ldd", *programs)
    return set(re.findall(r"(\S+) => not found", listing))


def _package_of(soname: str) -> str:
    """Return the package of a shared library by Debian's naming rule."""
    match = re.fullmatch(r"(.+?)(?:\.so\.(.+)|-([\d.]+)\.so)", soname)
    if not match:
        raise debian.GuestError(f"no package is known for {soname}")
    name, version = match[1].lower().replace("_", "-"), match[2] or match[3]
    return f"{name}-{version}" if name[-1].isdigit() else f"{name}{version}"
