"""The age of the pixels that a viewer shows of an animation with frame numbers in its pixels.

Frame n is drawn at n / RATE seconds of the computer's clock, which both ends of a link share here.
A viewer may show parts of several frames; the oldest counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .measure import percentile

WIDTH, HEIGHT, RATE = 1280, 800, 33
#: Distance of the pixels that are read; no viewer receives smaller pieces of a screen.
APART = 16
#: Seconds between two readings in a continuous observation.
LOOK = 0.01


def gradient() -> np.ndarray:
    across = np.arange(WIDTH, dtype=np.uint32)[None, :] // 5
    down = np.arange(HEIGHT, dtype=np.uint32)[:, None] // 3
    return (across + down).astype(np.uint8)


def draw(pixels: np.ndarray, slope: np.ndarray, number: int) -> None:
    """Draw frame *number*: the number in blue and green, a moving gradient in red."""
    pixels[..., 0], pixels[..., 1] = number & 255, number >> 8 & 255
    pixels[..., 2] = slope + np.uint8(number & 255)


class Look(NamedTuple):
    """The pixels shown at one time.

    Attributes:
        at: Seconds of the computer's clock.
        changed: Milliseconds since the oldest of the changed pixels was drawn.
        oldest: The same of all pixels; -1 while a place has no picture.
    """

    at: float
    changed: float
    oldest: float


class Ages:
    """Readings of the shown pixels, one after each change."""

    def __init__(self) -> None:
        self.looks: list[Look] = []

    def look(self, pixels: np.ndarray, rects: Iterable[tuple[int, int, int, int]]) -> None:
        """Read pixels of which these rectangles (x, y, width, height) have just changed."""
        now = time.monotonic()
        parts = [_numbers(pixels[y : y + height : APART, x : x + width : APART]).ravel()
                 for x, y, width, height in rects]  # fmt: skip
        if parts:
            self.add(now, np.concatenate(parts), _numbers(pixels[::APART, ::APART]))

    def compare(self, before: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Do the same without known rectangles; return *before* of the next call."""
        now, numbers = time.monotonic(), _numbers(pixels[::APART, ::APART])
        changed = numbers[numbers != before]
        if changed.size:
            self.add(now, changed, numbers)
        return numbers

    def add(self, now: float, changed: np.ndarray, shown: np.ndarray) -> None:
        """Add frame numbers; 0: no picture."""
        changed = changed[changed > 0]
        if changed.size:
            whole = bool((shown > 0).all())
            oldest = _age(shown, now) if whole else -1.0
            self.looks.append(Look(now, _age(changed, now), oldest))


def _numbers(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(np.int64) | pixels[..., 1].astype(np.int64) << 8


def _age(numbers: np.ndarray, now: float) -> float:
    """Return the milliseconds since the oldest of these frames was drawn."""
    behind = int(((int(now * RATE) - numbers) & 0xFFFF).max())
    return 1000 * (behind + now * RATE % 1) / RATE


class Told(NamedTuple):
    """Results of the readings, milliseconds.

    Attributes:
        shown: The age of changed pixels when they were shown.
        all_the_time: The age of the oldest thing on the screen, a hundred times a second.
    """

    shown: list[float]
    all_the_time: list[float]

    def words(self) -> str:
        return f"{spread(self.shown)}; all the time {spread(self.all_the_time)}"


def spread(ages: list[float]) -> str:
    if not ages:
        return "nothing"
    p50, p95 = (percentile(ages, share) for share in (0.5, 0.95))
    return f"p50 {p50:.0f}, p95 {p95:.0f}, largest {max(ages):.0f} ms"


def tell(looks: list[Look], first: float, last: float = 1e9) -> Told:
    """Return the results of the seconds *first* to *last* after the first whole picture."""
    start = next((look.at for look in looks if look.oldest >= 0), None)
    if start is None:
        return Told([], [])
    chosen = [each for each in looks if first <= each.at - start < last]
    every: list[float] = []
    for look, after in pairwise(chosen):
        steps = np.arange(0.0, after.at - look.at, LOOK)
        every += (look.oldest + 1000 * steps).tolist()
    return Told([each.changed for each in chosen], every)
