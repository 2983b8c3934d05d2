"""Keys: names, chords and layouts, converted to QEMU's numbers. I/O-free."""

from __future__ import annotations

from .boot_command import parse_boot_command
from .chords import Step, held_steps, parse_chord, steps
from .codes import (
    LOCKS,
    Lamps,
    from_browser,
    from_evdev,
    from_keysym,
    from_x11,
    to_evdev,
    to_qcode,
)
from .keyboards import ALIASES as LAYOUT_ALIASES
from .keyboards import LAYOUTS
from .layouts import US, Chord, Layout, Stroke, layout
from .names import ALIASES, CHARACTERS, NAMES, NUMBERS, number, other_names

__all__ = [
    "ALIASES",
    "CHARACTERS",
    "LAYOUTS",
    "LAYOUT_ALIASES",
    "LOCKS",
    "NAMES",
    "NUMBERS",
    "US",
    "Chord",
    "Lamps",
    "Layout",
    "Step",
    "Stroke",
    "from_browser",
    "from_evdev",
    "from_keysym",
    "from_x11",
    "held_steps",
    "layout",
    "number",
    "other_names",
    "parse_boot_command",
    "parse_chord",
    "steps",
    "to_evdev",
    "to_qcode",
]
