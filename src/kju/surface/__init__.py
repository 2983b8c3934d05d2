"""The surface: one piece of shared memory that a producer fills and any number of viewers read.

`model` defines modes, marks and changes; `producer` and `consumer` are the two sides; `geometry`
and `formats` define rectangles and pixels; `layout` has the constants of
``include/kju/surface.h``. Core: no module here uses a descriptor, a thread or a clock.
"""

from __future__ import annotations

from .model import (
    MAX_SIDE,
    NOTHING_TAKEN,
    TILE_SIDE,
    Change,
    Cursor,
    Mark,
    Mode,
    ProducerIdentity,
    State,
    surface_size,
)

__all__ = [
    "MAX_SIDE",
    "NOTHING_TAKEN",
    "TILE_SIDE",
    "Change",
    "Cursor",
    "Mark",
    "Mode",
    "ProducerIdentity",
    "State",
    "surface_size",
]
