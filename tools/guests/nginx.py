#!/usr/bin/env python3
"""Unpack Debian 12's nginx and print the path of the program: a proxy before `kju web`.

Installing the package would start a web server on port 80.
"""

from __future__ import annotations

from pathlib import Path

import unpacked

from kju.guests import debian

PROGRAM = "usr/sbin/nginx"
WRAPPER = """\
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="{extra}"
exec "$here/{program}" "$@"
"""


def build() -> Path:
    """Download the missing files.

    Raises:
        GuestError: No Debian, or no network and nothing in the cache.
    """
    with debian.locked():
        found = sorted(debian.cache().glob("nginx-*"))
        folder = found[-1] if found else _fetch()
    return folder / "nginx"


def _fetch() -> Path:
    apt = debian.Apt()
    folder = debian.cache() / f"nginx-{debian.safe(apt.version('nginx'))}"
    with debian.appearing(folder) as new:
        for package in apt.download(["nginx"], new):
            debian.unpack(package, new)
        wrapper = new / "nginx"
        extra = ":".join(f"$here/{each}" for each in unpacked.EXTRA)
        wrapper.write_text(WRAPPER.format(program=PROGRAM, extra=extra))
        wrapper.chmod(0o755)
        unpacked.add_libraries(apt, new, [new / PROGRAM])
    return folder


def main() -> None:
    """Run the command line."""
    try:
        print(build())
    except debian.GuestError as error:
        raise SystemExit(f"nginx: {error}") from error


if __name__ == "__main__":
    main()
