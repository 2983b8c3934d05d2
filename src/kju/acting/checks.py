"""Checks of the values in inputs, and their description."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ..errors import GeometryError, UsageError
from ..keys import number
from ..protocol.values import BUTTONS
from ..surface import MAX_SIDE

#: The longest time that a key is held, or that a pause takes, in seconds.
MAX_SECONDS = 300.0

Point: TypeAlias = tuple[int, int]


def is_whole(value: object) -> bool:
    """Check for a whole number that is not True or False."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_points_of(points: Sequence[Point]) -> None:
    """Check pixels, of any screen.

    Raises:
        GeometryError: A point is not two whole numbers, or no screen has it.
    """
    for point in points:
        try:
            x, y = point
        except (TypeError, ValueError) as error:
            raise GeometryError(f"a point is x and y, not {point!r:.40}") from error
        if not (is_whole(x) and is_whole(y)):
            raise GeometryError(f"a point is two whole numbers of pixels, not {x!r:.20}, {y!r:.20}")
        if not (0 <= x < MAX_SIDE and 0 <= y < MAX_SIDE):
            raise GeometryError(
                f"the point {x}, {y} is on no screen: x and y are 0 to {MAX_SIDE - 1}"
            )


def check_button(name: str) -> None:
    """Check the name of a button.

    Raises:
        UsageError: It is unknown.
    """
    if name not in BUTTONS:
        raise UsageError(f"unknown button {name!r:.40}: choose {', '.join(BUTTONS)}")


def check_seconds(value: float, name: str, most: float = MAX_SECONDS) -> float:
    """Return a time in seconds.

    Raises:
        UsageError: It is not a number from 0 to *most*.
    """
    valid = isinstance(value, int | float) and not isinstance(value, bool)
    if not valid or not math.isfinite(value) or not 0 <= value <= most:
        raise UsageError(f"{name} is 0 to {most:g} seconds, not {value!r:.40}")
    return float(value)


def key_numbers(keys: Iterable[str | int]) -> tuple[int, ...]:
    """Return the numbers of keys.

    Raises:
        UsageError: A key is unknown.
    """
    found = []
    for key in keys:
        if isinstance(key, str):
            found.append(number(key))
        elif is_whole(key) and 1 <= key <= 0xFF:
            found.append(key)
        else:
            raise UsageError(f"a key is a name or a number from 1 to 255, not {key!r:.40}")
    return tuple(found)


def at_words(points: Sequence[Point]) -> str:
    """Return the words for the first of the points, if there is one."""
    return f" at {points[0][0]}, {points[0][1]}" if points else ""


def with_words(keys: Sequence[str | int]) -> str:
    """Return the words for keys that are held, if there are any."""
    return f" with {'-'.join(map(str, keys))}" if keys else ""
