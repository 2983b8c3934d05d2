"""Play grub-invaders from its pixels.

python examples/invaders.py [KERNEL] [SECONDS] [PLAYER]

KERNEL is /boot/invaders.exec of Debian's package grub-invaders, SECONDS how long to play (15), and
PLAYER is `bot`, or `random` or `nothing` to compare it with. The last line says how many of the 40
invaders it shot.
"""

import random
import sys
import time

import numpy as np

import kju

KERNEL = "/boot/invaders.exec"
INVADERS, PIXELS = 40, 38  # how many there are, and how many pixels each has
TAP = 0.06  # the game looks at its keys 18 times a second
WIDE, ENOUGH = 90, 0.6  # pixels that count as near, and the share of the best place that will do


def seen(frame: np.ndarray) -> tuple[np.ndarray, int]:
    """How many of the invaders' pixels each column has, and the ship's column, or -1."""
    red, green, blue = (np.asarray(frame)[..., channel] > 100 for channel in range(3))
    ship = np.flatnonzero((blue & red).any(axis=0))
    return green.sum(axis=0), int(ship.mean()) if ship.size else -1


def bot(machine: kju.Machine, until: float) -> None:
    """Go to where most invaders are, and shoot all the time."""
    while time.monotonic() < until:
        invaders, ship = seen(machine.screen.frame())
        near = np.convolve(invaders, np.ones(WIDE), "same")
        keys = ["spc"]
        if near[ship] < near.max() * ENOUGH:
            keys += ["left" if near.argmax() < ship else "right"]
        with machine.keyboard.hold(*keys):
            time.sleep(TAP)


def at_random(machine: kju.Machine, until: float) -> None:
    """Press whatever the game knows."""
    while time.monotonic() < until:
        with machine.keyboard.hold(random.choice(["left", "right", "spc"])):
            time.sleep(TAP)


def play(kernel: str, seconds: float, player: str) -> int:
    """Play, and return how many invaders are gone."""
    with kju.launch(kernel, memory="64", name="play-invaders") as machine:
        screen = machine.screen
        screen.wait_for(lambda frame: seen(frame)[1] >= 0, timeout=60)
        until = time.monotonic() + seconds
        {"bot": bot, "random": at_random, "nothing": lambda *_: time.sleep(seconds)}[player](
            machine, until
        )
        # Two may stand in one place: the most that are seen in a second is how many there are.
        most = 0
        for _ in screen.changes(timeout=5):
            most = max(most, int(seen(screen.frame())[0].sum()) // PIXELS)
            if time.monotonic() > until + 1:
                return INVADERS - most
    return 0


def main() -> None:
    """The command line."""
    kernel, seconds, player = (*sys.argv[1:], *[KERNEL, "15", "bot"][len(sys.argv) - 1 :])
    print(f"{player} shot {play(kernel, float(seconds), player)} of {INVADERS} invaders")


if __name__ == "__main__":
    main()
