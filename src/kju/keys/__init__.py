"""Keys: names, chords and layouts. I/O-free; numbers out, nothing sent."""

from __future__ import annotations

from .chords import Step, parse_chord, steps
from .layouts import LAYOUTS, US, Chord, Layout, layout
from .names import ALIASES, NAMES, NUMBERS, number

__all__ = [
    "ALIASES",
    "LAYOUTS",
    "NAMES",
    "NUMBERS",
    "US",
    "Chord",
    "Layout",
    "Step",
    "layout",
    "number",
    "parse_chord",
    "steps",
]
