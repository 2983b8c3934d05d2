#!/usr/bin/env python3
"""Builds what the tiny Linux guest needs to set its text console's keyboard as Debian does.

Prints the paths of an initramfs, to stand behind that of linux.py, and of a folder with the
keymaps in it. They are made by Debian's ckbcomp from the same xkb-data as kju's layouts, and
loaded in the guest by Debian's loadkeys.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from kju.guests import boot, debian

#: The names of kju, and the model, layout and variant that ckbcomp takes.
KEYMAPS = {
    "en-us": ("pc105", "us", ""),
    "en-gb": ("pc105", "gb", ""),
    "de": ("pc105", "de", ""),
    "fr": ("pc105", "fr", ""),
    "es": ("pc105", "es", ""),
    "sv": ("pc105", "se", ""),
    "fr-ch": ("pc105", "ch", "fr"),
    "pt-br": ("pc105", "br", ""),
    "ru": ("pc105", "ru", ""),
}
PACKAGES = {
    "kbd": "./bin/loadkeys",
    "libc6": "./lib*",
    "console-setup": "./usr/bin/ckbcomp",
    "xkb-data": "./usr/share/X11/xkb/*",
}
LOADER = "lib64/ld-linux-x86-64.so.2"
LIBRARIES = "lib/x86_64-linux-gnu"
#: Says what is typed on the second serial line, byte by byte, and obeys the first: a keymap's name.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
exec </dev/ttyS0 >/dev/ttyS0 2>&1 3<>/dev/tty1 4<>/dev/ttyS1
stty raw -echo <&3
stty raw -echo <&4
cat <&3 >&4 &
echo "kju: ready"
while read -r name; do
    if /keyboard/loadkeys -q -u -C /dev/tty1 "/keyboard/$name.map"; then
        echo "kju: loaded $name"
    else
        echo "kju: cannot load $name"
    fi
done
"""


def build() -> tuple[Path, Path]:
    """Fetches and builds what is missing.

    Raises:
        debian.GuestError: No Debian, no network and nothing in the cache.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    folder = debian.cache() / f"console-{digest}"
    with debian.locked():
        if not folder.exists():
            with debian.appearing(folder) as new:
                _fill(new)
    return folder / "console.cpio.gz", folder / "keymaps"


def _fill(new: Path) -> None:
    root, keymaps = new / "root", new / "keymaps"
    root.mkdir()
    keymaps.mkdir()
    apt = debian.Apt()
    for package, pattern in PACKAGES.items():
        (archive,) = apt.download([package], new)
        debian.unpack(archive, root, pattern)
    for name, words in KEYMAPS.items():
        (keymaps / f"{name}.map").write_text(_keymap(root, *words))
    made = gzip.compress(_archive(root, keymaps), 6, mtime=0)
    (new / "console.cpio.gz").write_bytes(made)
    debian.run("rm", "-rf", root)


def _keymap(root: Path, model: str, layout: str, variant: str) -> str:
    program, data = root / "usr/bin/ckbcomp", root / "usr/share/X11/xkb"
    words = ["-compact", "-model", model, "-layout", layout, "-variant", variant]
    return debian.run("perl", program, f"-I{data}", *words)


def _archive(root: Path, keymaps: Path) -> bytes:
    archive = boot.CpioArchive()
    for folder in ("keyboard", "lib", "lib64", LIBRARIES):
        archive.add(folder, boot.FOLDER)
    archive.add("keyboard/init", boot.PROGRAM, INIT.encode())
    archive.add("keyboard/loadkeys", boot.PROGRAM, (root / "bin/loadkeys").read_bytes())
    archive.add(LOADER, boot.PROGRAM, (root / LIBRARIES / Path(LOADER).name).read_bytes())
    archive.add(
        f"{LIBRARIES}/libc.so.6", boot.PROGRAM, (root / LIBRARIES / "libc.so.6").read_bytes()
    )
    for keymap in sorted(keymaps.iterdir()):
        archive.add(f"keyboard/{keymap.name}", boot.FILE, keymap.read_bytes())
    return archive.finish()


def main() -> None:
    """The command line."""
    try:
        print(*build(), sep="\n")
    except debian.GuestError as error:
        raise SystemExit(f"console guest: {error}") from error


if __name__ == "__main__":
    main()
