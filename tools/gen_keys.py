"""Generate the table of keys and the keyboard layouts from Debian packages and a running QEMU.

    python tools/gen_keys.py            write the files
    python tools/gen_keys.py --check    fail where one of them is stale
    python tools/gen_keys.py --refresh  fetch the newest packages of the release first

Writes src/kju/keys/table.py, src/kju/keys/keyboards/ and docs/reference/keyboard-layouts.md. Needs
QEMU, and xkbcommon of the extra `check`. The packages are unpacked into the folder of the test
guests and stay there. A file is stale if its data differs; a newer version of a package with the
same data does not make it stale.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from keydata import layouts, numbers, packages, render

ROOT = Path(__file__).resolve().parent.parent
KEYS = ROOT / "src/kju/keys"
PAGE = ROOT / "docs/reference/keyboard-layouts.md"


def main() -> int:
    """Write the files, or compare them."""
    wanted = texts(packages.sources(refresh="--refresh" in sys.argv[1:]))
    there = {*(KEYS / "keyboards").glob("*.*")}
    stale = [p for p, text in wanted.items() if not p.exists() or bare(p.read_text()) != bare(text)]
    stale += sorted(there - wanted.keys())
    names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
    if "--check" in sys.argv[1:]:
        if stale:
            print(f"stale: {names}; run tools/gen_keys.py", file=sys.stderr)
        return bool(stale)
    (KEYS / "keyboards").mkdir(exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path])
        else:
            path.unlink()
    print(f"written: {names}" if stale else "nothing has changed")
    return 0


def bare(text: str) -> str:
    """Return a text without the versions of its sources."""
    text = re.sub(rf"\b({'|'.join([*packages.PACKAGES, 'QEMU'])}) [\d.][^\s;]*", r"\1", text)
    return re.sub(r"^VERSION = .*$", "", text, flags=re.M)


def texts(sources: packages.Sources) -> dict[Path, str]:
    """Return the content of every file."""
    found = {
        KEYS / "table.py": render.table(numbers.keys(sources), sources, qemu_version()),
        KEYS / "keyboards/__init__.py": render.index(sources),
    }
    read = {}
    for name, model, x11, variant, title, _ in layouts.LAYOUTS:
        read[name] = layouts.read(sources.root, model, x11, variant)
        text = render.layout(title, render.x11_name(x11, variant), read[name], sources)
        found[KEYS / f"keyboards/{name}.txt"] = text
    found[KEYS / "keyboards/dead_keys.txt"] = render.dead_keys(read.values(), sources)
    return found | {PAGE: render.page(read, sources)}


def qemu_version() -> str:
    """Return the version of the installed QEMU."""
    said = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return said.split()[3]


if __name__ == "__main__":
    sys.exit(main())
