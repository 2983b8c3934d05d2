"""A picture of a tile table: the age of each tile's last change. I/O-free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .ability import Ability
from .paint import quantise, rows

if TYPE_CHECKING:
    import numpy.typing as npt

# Black, violet, red, orange, yellow, white, as of glowing metal: dark is old.
_STOPS = np.array([0, 60, 120, 180, 225, 255])
_RED = np.array([24, 70, 190, 240, 250, 255])
_GREEN = np.array([24, 10, 30, 110, 210, 255])
_BLUE = np.array([32, 100, 60, 20, 60, 240])


def heat(table: npt.NDArray[np.uint64], version: int) -> npt.NDArray[np.uint8]:
    """Return each tile's heat: 255 for the newest version, 0 for the oldest in the table.

    It is logarithmic, so that one version ago differs from ten, and a thousand from ten thousand.

    Args:
        table: Versions of tiles, ``(rows, columns)``.
        version: Of the surface.
    """
    newest = np.uint64(max(version, int(table.max(initial=0))))
    age = (newest - table).astype(np.float64)
    coldest = np.log2(1 + age.max(initial=0.0)) or 1.0
    return (255 * (1 - np.log2(1 + age) / coldest)).astype(np.uint8)


def picture(
    table: npt.NDArray[np.uint64], version: int, ability: Ability, columns: int, lines: int
) -> list[str]:
    """Return the table as lines of text, one dot a tile; in a large one the hottest of several.

    Args:
        table: Versions of tiles, ``(rows, columns)``.
        version: Of the surface.
        ability: Of the terminal.
        columns: Limit of characters in a line.
        lines: Limit of lines.
    """
    if not table.size:
        return []
    step = max(-(-table.shape[1] // columns), -(-table.shape[0] // (2 * lines)))
    hot = _hottest(heat(table, version), step)
    if hot.shape[0] % 2:
        hot = np.vstack((hot, hot[-1:]))
    colours = np.stack([np.interp(hot, _STOPS, c) for c in (_RED, _GREEN, _BLUE)], axis=-1)
    if not ability.colours:
        # The coldest tile is a dot, so that the table's shape can be seen.
        colours = np.repeat(np.maximum(hot, 1)[..., np.newaxis], 3, axis=2)
    return rows(quantise(colours.astype(np.uint8), ability), ability)


def _hottest(hot: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    down = np.maximum.reduceat(hot, np.arange(0, hot.shape[0], step), axis=0)
    across: npt.NDArray[np.uint8] = np.maximum.reduceat(
        down, np.arange(0, hot.shape[1], step), axis=1
    )
    return across
