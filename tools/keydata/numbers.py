"""The table of keys: QEMU's number and name, Linux's code, the browser's code, X11's keysyms.

Sources:

- The name of each key number is QEMU's: it gets every number and prints the names in a trace. The
  names are those of QKeyCode. Two names have no number of their own: `sysrq`, which
  keyboards send as `print`, and `asterisk`, an old name of `kp_multiply`.
- The Linux key of each number (KEY_ESC) is from libvirt's manual, its code from the kernel's
  header.
- The scan code of each browser's code, and its Linux key, are from noVNC.
- The keysyms of a US keyboard (pc105) are from xkb-data.

Overlapping sources are compared; these versions agree on every key that QEMU has. QEMU takes both
0x54 and 0xb7 for `print`, and both are Linux's KEY_SYSRQ (99), so 0x54 stands for it. libvirt has
76 more numbers, of keys that QEMU drops.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

from xkbcommon import xkb

from .packages import Sources

#: Second numbers of keys, which no table lists.
SECOND = {0xB7: 0x54}
#: The key that is usually called "menu" is QEMU's "compose"; QEMU's "menu" is KEY_MENU, which
#: keyboards of PCs lack.
RENAMED = {"menu": "linux_menu"}
#: Keysyms that other layouts have on a key: X11's own function keys (US has XF86Tools on F13),
#: the AltGr of nearly all others, the comma of Continental number pads.
ELSEWHERE = {
    **{code: (f"F{code - 170}",) for code in range(183, 195)},
    83: ("KP_Separator",),
    100: ("ISO_Level3_Shift", "Mode_switch"),
}
KEY_102ND = 86
X11_OFFSET = 8


class Key(NamedTuple):
    """One key of the table."""

    number: int
    name: str
    evdev: int
    codes: tuple[str, ...]
    keysyms: tuple[int, ...]
    linux: tuple[str, ...]


def keys(sources: Sources) -> list[Key]:
    """Return all keys that QEMU names, in the order of their numbers.

    Raises:
        SystemExit: Two sources disagree.
    """
    linux = _linux_names(sources.root)
    codes = _linux_codes(sources.root)
    browser = _browser(sources.root, linux, codes)
    names = {n: name for n, name in qemu_names().items() if n not in SECOND}
    if unknown := set(names) - set(linux):
        raise SystemExit(f"libvirt does not know the keys {sorted(unknown)}")
    keysyms = _keysyms(sources.root, {codes[linux[number]] for number in names})
    found = []
    for number, name in names.items():
        evdev, on_page = codes[linux[number]], tuple(browser.get(number, ()))
        named = tuple(word for word, code in codes.items() if code == evdev)
        found.append(Key(number, RENAMED.get(name, name), evdev, on_page, keysyms[evdev], named))
    if len({key.name for key in found}) != len(found) or len({k.evdev for k in found}) != len(
        found
    ):
        raise SystemExit("two keys of one name or of one Linux code")
    return found


def qemu_names(qemu: str = "qemu-system-x86_64") -> dict[int, str]:
    """Return a running QEMU's name of each key number."""
    numbers = range(1, 256)
    commands: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
    for number in numbers:
        key = {"down": True, "key": {"type": "number", "data": number}}
        event = {"events": [{"type": "key", "data": key}]}
        commands.append({"execute": "input-send-event", "arguments": event})
    commands.append({"execute": "quit"})
    done = subprocess.run(
        [
            qemu, "-machine", "pc", "-accel", "tcg", "-display", "none", "-nodefaults",
            "-qmp", "stdio", "-trace", "enable=input_event_key_qcode",
        ],
        input="".join(json.dumps(command) + "\n" for command in commands),
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    names = re.findall(r"^input_event_key_qcode .* qcode (\w+), down 1$", done.stderr, re.M)
    if len(names) != len(numbers):
        raise SystemExit(f"QEMU was sent {len(numbers)} keys and named {len(names)}")
    return {n: name for n, name in zip(numbers, names, strict=True) if name != "unmapped"}


def _linux_names(root: Path) -> dict[int, str]:
    page = root / "usr/share/man/man7/virkeycode-qnum.7.gz"
    listed = r"^(\d+) \(0x[0-9a-f]+\)\n\.sp\nKey name (\w+)"
    return {
        int(number): name
        for number, name in re.findall(listed, gzip.decompress(page.read_bytes()).decode(), re.M)
    }


def _linux_codes(root: Path) -> dict[str, int]:
    header = (root / "usr/include/linux/input-event-codes.h").read_text()
    defined = re.findall(r"^#define (KEY_\w+)\s+(0x[0-9a-f]+|\d+)\b", header, re.M)
    codes = {name: int(code, 0) for name, code in defined}
    others = re.findall(r"^#define (KEY_\w+)\s+(KEY_\w+)\b", header, re.M)
    return codes | {name: codes[other] for name, other in others if other in codes}


def _browser(root: Path, linux: dict[int, str], codes: dict[str, int]) -> dict[int, list[str]]:
    script = (root / "usr/share/novnc/core/input/xtscancodes.js").read_text()
    listed = r'"(\w+)": (0x[0-9a-f]+), /\* html:\w+ \(\w+\) -> linux:(\d+) \((\w+)\)'
    found: dict[int, list[str]] = {}
    for code, scan, evdev, name in re.findall(listed, script):
        number = int(scan, 16) & 0x7F | (0x80 if int(scan, 16) >> 8 == 0xE0 else 0)
        if codes[name] != int(evdev) or linux.get(number) != name:
            raise SystemExit(f"{code}: noVNC says {name}, {evdev}; libvirt {linux.get(number)}")
        found.setdefault(number, []).append(code)
    return found


def _keysyms(root: Path, evdev: set[int]) -> dict[int, tuple[int, ...]]:
    """Return the keysyms of a US keyboard by Linux code; a keysym is only on its first key."""
    keymap = context(root).keymap_new_from_names(rules="evdev", model="pc105", layout="us")
    seen: set[int] = set()
    found: dict[int, tuple[int, ...]] = {}
    # The key that only European keyboards have is last: its "less" is on the comma's key as well.
    for code in sorted(evdev, key=lambda code: (code == KEY_102ND, code)):
        keycode = code + X11_OFFSET
        levels = keymap.num_levels_for_key(keycode, 0) if keymap.num_layouts_for_key(keycode) else 0
        on_key = [s for n in range(levels) for s in keymap.key_get_syms_by_level(keycode, 0, n)]
        on_key += [xkb.keysym_from_name(name) for name in ELSEWHERE.get(code, ())]
        found[code] = tuple(dict.fromkeys(s for s in on_key if s not in seen))
        seen.update(on_key)
    return found


def context(root: Path) -> xkb.Context:
    """Return a libxkbcommon that reads the package's data, not this computer's."""
    made = xkb.Context(no_default_includes=True, no_environment_names=True)
    made.include_path_append(str(root / "usr/share/X11/xkb"))
    return made
