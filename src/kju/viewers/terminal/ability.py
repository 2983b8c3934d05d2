"""Abilities of a terminal, read from its environment. I/O-free."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

# Parts of ncurses' names. A plain "xterm" has had 256 colours for twenty years.
_TRUE = ("direct", "truecolor", "24bit", "kitty", "alacritty", "foot", "wezterm", "ghostty")
_MANY = ("256color", "xterm", "screen", "tmux", "rxvt", "konsole", "putty", "linux", "gnome", "st-")
_NO_MOVING = ("", "dumb", "unknown")


class Colours(IntEnum):
    """Number of colours."""

    NONE = 0
    """No colours: characters of growing weight."""
    MANY = 256
    TRUE = 1 << 24


class Ability(NamedTuple):
    """Abilities of a terminal.

    Attributes:
        colours: Number of colours.
        blocks: It shows half blocks, so a cell has two dots; else one.
        moves: The cursor can be placed, which a picture needs.
    """

    colours: Colours
    blocks: bool = True
    moves: bool = True


def ability(environment: Mapping[str, str], encoding: str) -> Ability:
    """Return the abilities of this environment's terminal.

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
