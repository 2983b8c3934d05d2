#!/usr/bin/env python3
"""Builds the plain guest, a kernel that QEMU's -kernel takes, and prints its path.

What is built is kept by the hash of its sources.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from kju.guests import debian

SOURCES = Path(__file__).resolve().parent / "plain"
FLAGS = "-m32 -march=i686 -O2 -std=gnu11 -ffreestanding -fno-pic -fno-stack-protector -nostdlib"
WARNINGS = "-Wall -Wextra -Werror -Wno-main"
LINKING = "-static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack"


def build() -> Path:
    """Compile the kernel unless it exists already.

    Raises:
        GuestError: The compiler is missing, or it failed.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    with debian.locked():
        target = debian.cache() / f"plain-{digest.hexdigest()[:16]}.elf"
        if not target.exists():
            new = target.with_suffix(".new")
            debian.run(
                os.environ.get("CC", "gcc"), *FLAGS.split(), *WARNINGS.split(), *LINKING.split(),
                "-T", SOURCES / "plain.ld", SOURCES / "plain.c", "-o", new,
            )  # fmt: skip
            new.rename(target)
    return target


def main() -> None:
    """Build and print the path."""
    try:
        print(build())
    except debian.GuestError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
