"""Try several inputs from one state, again and again: which screens lead to which.

python examples/explore.py DISK [DEPTH] [KEY...]

DISK is a qcow2 disk that a machine boots from, DEPTH how many keys deep to go (2), and every KEY a
chord to try (down, up, ret). From each screen that is new a snapshot is saved, each key is pressed,
and the snapshot is loaded before the next one. What is printed is the tree of the screens: equal
pixels are the same screen.
"""

import hashlib
import sys

import numpy as np

import kju
from kju.errors import WaitTimeoutError

STILL, BOOTED = 0.5, 3.0  # seconds without a change: the guest has answered; it has booted
ANSWER = 2.0  # seconds after which a key has done nothing


def settled(screen: kju.Screen, seconds: float = STILL) -> str:
    """A name for what the screen shows once it is still: the hash of its pixels."""
    pixels = screen.wait_stable(seconds, timeout=60)
    return hashlib.sha256(np.ascontiguousarray(pixels[..., :3])).hexdigest()[:8]


def explore(machine: kju.Machine, depth: int, keys: list[str]) -> dict[str, dict[str, str]]:
    """Every screen that was found, and where each key leads from it."""
    found: dict[str, dict[str, str]] = {}

    def visit(name: str, left: int) -> None:
        found[name] = {}
        if not left:
            return
        machine.snapshots.save(name)
        for key in keys:
            mark = machine.keyboard.chord(key)
            try:
                machine.screen.wait_change(since=mark, timeout=ANSWER)
                there = settled(machine.screen)
            except WaitTimeoutError:
                there = name  # the key did nothing
            found[name][key] = there
            if there not in found:
                visit(there, left - 1)
            machine.snapshots.load(name)

    visit(settled(machine.screen, BOOTED), depth)
    return found


def tree(found: dict[str, dict[str, str]]) -> list[str]:
    """The screens as lines, each below the one that first led to it."""
    lines, known = [], set()

    def tell(name: str, words: str, indent: str) -> None:
        again = "" if name not in known else " (above)"
        lines.append(f"{indent}{words}{name}{again}")
        if not again:
            known.add(name)
            for key, there in found[name].items():
                tell(there, f"{key}: ", indent + "  ")

    tell(next(iter(found)), "", "")
    return lines


def main() -> None:
    """The command line."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    disk, *rest = sys.argv[1:]
    depth, keys = int(rest[0]) if rest else 2, rest[1:] or ["down", "up", "ret"]
    with kju.launch(disk, name="explore", memory="64") as machine:
        machine.screen.wait_for(lambda frame: frame[..., :3].any(), timeout=60)
        found = explore(machine, depth, keys)
    print("\n".join(tree(found)))
    print(f"{len(found)} screens")


if __name__ == "__main__":
    main()
