"""The time to search for a needle: on the whole screen, and again in changed areas.

    python -m benchmarks.needles

Medians of 15 on a screen of 1280x800; the ratio is to a match of the whole screen in the same run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

from kju.surface import NOTHING_TAKEN, Mode
from kju.surface.geometry import Rect
from kju.vision.looking import Seen
from kju.vision.match import Finder
from kju.vision.needle import Needle

WIDTH, HEIGHT = 1280, 800
RUNS = 15
#: Changed areas: the tiles of a text cursor, of a line of text, of a dialog.
DAMAGE = {
    "one tile, 32x32": [Rect(96, 96, 32, 32)],
    "a line of text, 640x32": [Rect(64, 320, 640, 32)],
    "a dialog, 416x256": [Rect(416, 256, 416, 256)],
}
NEEDLES = {"a button, 96x32": (96, 32), "a title, 220x40": (220, 40)}


def median(act: Callable[[], object]) -> float:
    """Return the median in milliseconds."""
    act()
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        act()
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def main() -> None:
    """The command line."""
    rng = np.random.default_rng(0)
    screen = rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    mode, whole = Mode(WIDTH, HEIGHT, WIDTH * 4, 0, 1), Rect(0, 0, WIDTH, HEIGHT)

    def seen(damage: list[Rect] | None) -> Seen:
        rects = None if damage is None else tuple(damage)
        return Seen(screen, whole, rects, 0.0, NOTHING_TAKEN, mode)

    print("| needle | changed area | ms | ratio |\n|---|---|---|---|")
    for name, (width, height) in NEEDLES.items():
        for masked in (False, True):
            exclude = (Rect(4, 4, 16, 8),) if masked else ()
            needle = Needle.of(rng.integers(0, 256, (height, width, 4), np.uint8), exclude=exclude)
            finder = Finder(needle)
            full = median(lambda finder=finder: finder.best_match(seen(None)))  # type: ignore[misc]
            label = f"{name}{', a part excluded' if masked else ''}"
            print(f"| {label} | everything | {full:.1f} | 1 |")
            for words, rects in DAMAGE.items():
                again = median(lambda finder=finder, rects=rects: finder.best_match(seen(rects)))  # type: ignore[misc]
                print(f"| {label} | {words} | {again:.2f} | {full / again:.0f} |")


if __name__ == "__main__":
    main()
