"""What a terminal can show, from what its environment says. I/O-free."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

# What ncurses' names say; a plain "xterm" has been able to do 256 colours for twenty years.
_TRUE = ("direct", "truecolor", "24bit", "kitty", "alacritty", "foot", "wezterm", "ghostty")
_MANY = ("256color", "xterm", "screen", "tmux", "rxvt", "konsole", "putty", "linux", "gnome", "st-")
_NO_MOVING = ("", "dumb", "unknown")


class Colours(IntEnum):
    """How many colours there are, from the fewest."""

    NONE = 0
    """Characters of growing weight instead."""
    MANY = 256
    TRUE = 1 << 24


class Ability(NamedTuple):
    """What a terminal can show.

    Attributes:
        colours: How many.
        blocks: It shows half blocks, so a cell has two dots; else it has one.
        moves: The cursor can be placed; without that there is no picture.
    """

    colours: Colours
    blocks: bool = True
    moves: bool = True


def ability(environment: Mapping[str, str], encoding: str) -> Ability:
    """What the terminal of this environment can show.

    Args:
        environment: For ``TERM``, ``COLORTERM``, ``NO_COLOR`` and ``KJU_COLOURS``
            (``true``, ``256`` or ``none``), which overrides the others.
        encoding: Of the text written to it.

    Source:
        https://no-color.org; https://github.com/termstandard/colors for ``COLORTERM``.
    """
    term = environment.get("TERM", "").lower()
    blocks = encoding.lower().replace("-", "").startswith("utf")
    return Ability(_colours(environment, term), blocks, term not in _NO_MOVING)


def _colours(environment: Mapping[str, str], term: str) -> Colours:
    wanted = environment.get("KJU_COLOURS", "").lower()
    named = {"true": Colours.TRUE, "256": Colours.MANY, "none": Colours.NONE}
    if wanted in named:
        return named[wanted]
    if environment.get("NO_COLOR"):
        return Colours.NONE
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return Colours.TRUE
    if any(word in term for word in _TRUE):
        return Colours.TRUE
    return Colours.MANY if any(word in term for word in _MANY) else Colours.NONE
