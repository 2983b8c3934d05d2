"""A terminal's colours and characters, and the bytes that change its cells. I/O-free.

A cell has two codes, for its upper and its lower half: a colour's number, or `BLANK`, the
terminal's own background. Without colours a code is a weight in `RAMP`.

Rules:

- ``diff(a, b)`` changes a terminal that shows *a* into one that shows *b*, cell for cell.
- Equal cells are not written, and the current colour is not set again.
- Nothing relies on automatic wrapping, nor on the current pen: ``SGR 0`` resets it.

Source:
    ECMA-48 (CUP, CUF, SGR); xterm's control sequences (38;2 and 38;5; mode 2026).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Codes = npt.NDArray[np.int32]

BLANK = -1
RAMP = " .:-=+*#%@"

# xterm's 6x6x6 cube and its 24 greys.
_CUBE = np.array([0, 95, 135, 175, 215, 255])
_NEAREST = np.abs(np.arange(256)[:, np.newaxis] - _CUBE).argmin(axis=1)
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


def blank(rows: int, columns: int) -> Codes:
    """Return the codes of a cleared terminal, ``(rows, columns, 2)``."""
    return np.full((rows, columns, 2), BLANK, np.int32)


def quantise(dots: npt.NDArray[np.uint8], ability: Ability) -> Codes:
    """Return the codes of the nearest colours that this terminal has.

    Args:
        dots: ``(2 * rows, columns, 3)``, R G B.
        ability: Of the terminal.

    Returns:
        ``(rows, columns, 2)``.
    """
    wide = dots.astype(np.int32)
    pairs = wide.reshape(-1, 2, wide.shape[1], 3)
    if not ability.blocks or ability.colours == Colours.NONE:
        pairs = np.repeat(pairs.mean(axis=1, keepdims=True).astype(np.int32), 2, axis=1)
    codes: Codes
    r, g, b = pairs[..., 0], pairs[..., 1], pairs[..., 2]
    if ability.colours == Colours.TRUE:
        codes = r << 16 | g << 8 | b
    elif ability.colours == Colours.MANY:
        codes = _indexed(r, g, b)
    else:
        # Rounded up, so that a dim dot of a text screen stays visible.
        codes = ((77 * r + 150 * g + 29 * b) * (len(RAMP) - 1) + 65279) // 65280
    return np.ascontiguousarray(codes.transpose(0, 2, 1))


def _indexed(r: npt.NDArray[np.int32], g: npt.NDArray[np.int32], b: npt.NDArray[np.int32]) -> Codes:
    """Return the nearest of xterm's 240 fixed colours, of the cube or of the greys."""
    red, green, blue = _NEAREST[r], _NEAREST[g], _NEAREST[b]
    cube = (16 + 36 * red + 6 * green + blue).astype(np.int32)
    level = np.clip(((r + g + b) // 3 - 3) // 10, 0, 23)
    grey = 8 + 10 * level
    to_cube = (r - _CUBE[red]) ** 2 + (g - _CUBE[green]) ** 2 + (b - _CUBE[blue]) ** 2
    to_grey = (r - grey) ** 2 + (g - grey) ** 2 + (b - grey) ** 2
    nearest: Codes = np.where(to_grey < to_cube, 232 + level, cube).astype(np.int32)
    return nearest


def diff(shown: Codes, wanted: Codes, ability: Ability) -> bytes:
    """Return the bytes that change a terminal from *shown* to *wanted*.

    Args:
        shown: ``(rows, columns, 2)``.
        wanted: The same shape; its first cell is the terminal's top left one.
        ability: Of the terminal; the codes are for it.
    """
    changed = (shown != wanted).any(axis=2)
    if not changed.any():
        return b""
    writer = _writer(ability)
    out: list[str] = ["\x1b[0m"]
    for row in np.flatnonzero(changed.any(axis=1)).tolist():
        columns = np.flatnonzero(changed[row])
        codes = wanted[row, columns].tolist()
        at = -1
        for column, (top, bottom) in zip(columns.tolist(), codes, strict=True):
            if at < 0:
                out.append(f"\x1b[{row + 1};{column + 1}H")
            elif at < column:
                out.append(f"\x1b[{column - at}C")
            out.append(writer.cell(top, bottom))
            at = column + 1
    return "".join(out).encode()


def rows(codes: Codes, ability: Ability) -> list[str]:
    """Return cells as lines of text, for output that scrolls."""
    lines = []
    for row in codes.tolist():
        writer = _writer(ability)
        line = "".join(writer.cell(top, bottom) for top, bottom in row)
        lines.append(line + "\x1b[0m" if ability.colours else line.rstrip())
    return lines


def _writer(ability: Ability) -> _Plain | _Coloured:
    return _Coloured(ability) if ability.colours else _Plain()


class _Plain:
    """Cells as characters of growing weight."""

    def cell(self, top: int, bottom: int) -> str:
        return RAMP[max(top, bottom, 0)]


class _Coloured:
    """Cells as half blocks; knows the current pen, and sets only changes of it."""

    def __init__(self, ability: Ability) -> None:
        self._kind = "2" if ability.colours == Colours.TRUE else "5"
        self._blocks = ability.blocks
        self._front = self._back = BLANK

    def cell(self, top: int, bottom: int) -> str:
        front, back = self._front, self._back
        if top == bottom:
            if top == back:
                return " "
            if top == front != BLANK and self._blocks:
                return "█"
            return f"{self._pen(front, top)} "
        # A default foreground is not the default background: BLANK can only be behind.
        upper = (front != top) + (back != bottom)
        lower = (front != bottom) + (back != top)
        if bottom == BLANK or (top != BLANK and upper <= lower):
            return f"{self._pen(top, bottom)}▀"
        return f"{self._pen(bottom, top)}▄"

    def _pen(self, front: int, back: int) -> str:
        parts = []
        if front != self._front:
            parts.append(f"3{self._colour(front)}")
        if back != self._back:
            parts.append(f"4{self._colour(back)}")
        self._front, self._back = front, back
        return f"\x1b[{';'.join(parts)}m" if parts else ""

    def _colour(self, code: int) -> str:
        if code == BLANK:
            return "9"
        if self._kind == "5":
            return f"8;5;{code}"
        return f"8;2;{code >> 16};{code >> 8 & 255};{code & 255}"
