"""Play grub-invaders from its pixels.

python examples/invaders.py [KERNEL] [SECONDS] [PLAYER]

KERNEL is /boot/invaders.exec of Debian's package grub-invaders. SECONDS is the duration of the game
(15). PLAYER is `bot`, or for comparison `random` or `nothing`. The last line has the score: the
number of invaders, of 40, that were shot.
"""

import random
import sys
import time

import numpy as np

import kju

KERNEL = "/boot/invaders.exec"
INVADERS, PIXELS = 40, 38  # the number of invaders, and the pixels of each
TAP = 0.06  # the game reads its keys 18 times a second
LIMIT = 300  # seconds for the boot, or a change; an idle computer needs 4
WIDE, ENOUGH = 90, 0.6  # width of a shot's target in pixels; part of the best target that suffices


def seen(frame: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the number of invaders' pixels in each column, and the ship's column, or -1."""
    red, green, blue = (np.asarray(frame)[..., channel] > 100 for channel in range(3))
    ship = np.flatnonzero((blue & red).any(axis=0))
    return green.sum(axis=0), int(ship.mean()) if ship.size else -1


def bot(machine: kju.Machine, until: float) -> None:
    """Move below most of the invaders, and shoot all the time."""
    while time.monotonic() < until:
        invaders, ship = seen(machine.screen.frame())
        near = np.convolve(invaders, np.ones(WIDE), "same")
        keys = ["spc"]
        if near[ship] < near.max() * ENOUGH:
            keys += ["left" if near.argmax() < ship else "right"]
        with machine.keyboard.hold(*keys):
            time.sleep(TAP)


def at_random(machine: kju.Machine, until: float) -> None:
    """Press random keys of the game."""
    while time.monotonic() < until:
        with machine.keyboard.hold(random.choice(["left", "right", "spc"])):
            time.sleep(TAP)


def count_shot(screen: kju.Screen) -> int:
    """Return the number of invaders that were shot."""
    # Two invaders may overlap, so the maximum of one second is the number that is left.
    most, until = 0, time.monotonic() + 1
    for _ in screen.changes(timeout=LIMIT):
        most = max(most, int(seen(screen.frame())[0].sum()) // PIXELS)
        if time.monotonic() > until:
            break
    return INVADERS - most


def play(kernel: str, seconds: float, player: str) -> int:
    """Play, and return the number of invaders that were shot."""
    with kju.launch(kernel, memory="64M", name="play-invaders") as machine:
        machine.screen.wait_for(lambda frame: seen(frame)[1] >= 0, timeout=LIMIT)
        until = time.monotonic() + seconds
        {"bot": bot, "random": at_random, "nothing": lambda *_: time.sleep(seconds)}[player](
            machine, until
        )
        return count_shot(machine.screen)


def main() -> None:
    """Run the command line."""
    kernel, seconds, player = (*sys.argv[1:], *[KERNEL, "15", "bot"][len(sys.argv) - 1 :])
    print(f"{player} shot {play(kernel, float(seconds), player)} of {INVADERS} invaders")


if __name__ == "__main__":
    main()
