"""The surface: one piece of shared memory that a producer fills and any number of viewers read.

`model` has modes, marks and changes, `producer` and `consumer` the two sides, `geometry` and
`formats` rectangles and pixels, `layout` the constants of ``include/kju/surface.h``. Core: nothing
here holds a descriptor, a thread or a clock.
"""

from __future__ import annotations

from .model import (
    MAX_SIDE,
    NOTHING_TAKEN,
    TILE_SIDE,
    Change,
    Cursor,
    Identity,
    Mark,
    Mode,
    State,
    surface_size,
)

__all__ = [
    "MAX_SIDE",
    "NOTHING_TAKEN",
    "TILE_SIDE",
    "Change",
    "Cursor",
    "Identity",
    "Mark",
    "Mode",
    "State",
    "surface_size",
]
