"""Explore a guest's menus: try keys from each screen, and print the tree of screens.

python examples/explore.py DISK [DEPTH] [KEY...]

DISK is a qcow2 disk that a machine boots from. DEPTH is the longest sequence of keys (2). Each KEY
is a chord to try (down, up, ret). At each new screen the program freezes the machine, and presses
each key in a fork of its own. Screens with equal pixels count as one. The pictures of the screens
are saved in the folder `explored`.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

import kju
from kju.errors import WaitTimeoutError

STILL, BOOTED = 1.0, 3.0  # seconds without a change, after a key and after the boot
ANSWER = 10.0  # seconds for the guest to react to a key, also on a busy computer
LIMIT = 300  # seconds for anything else; an idle computer boots in 5
PICTURES = Path("explored")


def settled(screen: kju.Screen, seconds: float = STILL) -> str:
    """Wait until the screen is still, and return its name: the hash of its pixels."""
    pixels = screen.wait_stable(seconds, timeout=LIMIT)
    return "s" + hashlib.sha256(np.ascontiguousarray(pixels[..., :3])).hexdigest()[:8]


def pressed(machine: kju.Machine, key: str, name: str) -> str:
    """Press a key, and return the name of the screen afterwards; *name* if nothing happened."""
    mark = machine.keyboard.chord(key)
    try:
        machine.screen.wait_change(since=mark, timeout=ANSWER)
    except WaitTimeoutError:
        return name
    return settled(machine.screen)


def explore(machine: kju.Machine, depth: int, keys: list[str]) -> dict[str, dict[str, str]]:
    """Return every screen that was found, with the screen after each key."""
    found: dict[str, dict[str, str]] = {}

    def visit(machine: kju.Machine, name: str, left: int) -> None:
        found[name] = {}
        machine.screen.screenshot(PICTURES / f"{name}.png")
        print(f"screen {len(found)}: {PICTURES / name}.png", flush=True)
        if not left:
            return
        with machine.freeze(name) as base:
            for key in keys:
                with base.fork() as fork:
                    found[name][key] = there = pressed(fork, key, name)
                    if there not in found:
                        visit(fork, there, left - 1)

    visit(machine, settled(machine.screen, BOOTED), depth)
    return found


def tree(found: dict[str, dict[str, str]]) -> list[str]:
    """Return the screens as lines, each below the screen that first led to it."""
    lines, known = [], set()

    def add(name: str, words: str, indent: str) -> None:
        again = "" if name not in known else " (above)"
        lines.append(f"{indent}{words}{name}{again}")
        if not again:
            known.add(name)
            for key, there in found[name].items():
                add(there, f"{key}: ", indent + "  ")

    add(next(iter(found)), "", "")
    return lines


def main() -> None:
    """Run the command line."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    disk, *rest = sys.argv[1:]
    depth, keys = int(rest[0]) if rest else 2, rest[1:] or ["down", "up", "ret"]
    PICTURES.mkdir(exist_ok=True)
    with kju.launch(disk, name="explore", memory="256M") as machine:
        machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=LIMIT)
        found = explore(machine, depth, keys)
    print("\n".join(["", *tree(found), "", f"{len(found)} screens"]))


if __name__ == "__main__":
    main()
