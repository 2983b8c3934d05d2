"""The C modules of a checkout: notice those that were compiled from other sources.

Each module has the digest of the C sources that it was compiled from; an installed package has no
C sources beside it, and is not checked. meson runs this file as a program: with the root of a
checkout it prints a C file with that digest.
"""

from __future__ import annotations

import sys
from binascii import crc32
from pathlib import Path

#: The modules, as paths in the package.
MODULES = ("surface/_core", "wire/_wire", "memory/_system")
#: The folders of their sources in a checkout.
_FOLDERS = ("csrc", "include/kju")
#: The text before the digest in a compiled module.
_MARK = b"kju C sources: "


def digest(root: Path) -> bytes:
    """Return the digest of the C sources below *root*, as 8 hexadecimal digits."""
    value = 0
    for folder in _FOLDERS:
        for path in sorted((root / folder).glob("*.[ch]")):
            value = crc32(path.read_bytes(), crc32(path.name.encode(), value))
    return b"%08x" % value


def stale_modules(package: Path, root: Path) -> list[str]:
    """Return the modules in the folder *package* that were compiled from other sources.

    A module that is not there is left to the import system.
    """
    wanted = _MARK + digest(root) + b"\0"
    files = ((name, package / f"{name}.abi3.so") for name in MODULES)
    return [name for name, file in files if file.exists() and wanted not in file.read_bytes()]


def check(package: Path) -> None:
    """Check the modules of a checkout's package.

    Raises:
        ImportError: One was compiled from other sources.
    """
    root = package.parents[1]
    if stale := stale_modules(package, root):
        raise ImportError(
            f"{', '.join(stale)} in {package} was compiled from other C sources than those in"
            f" {root}: run {root}/tools/dev"
        )


if __name__ == "__main__":
    mark = (_MARK + digest(Path(sys.argv[1]))).decode()
    print("/* Made by src/kju/checkout.py: the digest of the C sources. */")
    print("extern const char kju_sources[];")
    print(f'__attribute__((used)) const char kju_sources[] = "{mark}";')
