"""The cells of a terminal: pixels in, the bytes that update the terminal out. I/O-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ...surface.geometry import Rect
from ..geometry import Placement
from .ability import Ability, Colours
from .dots import sample, source_rect
from .paint import BLANK, blank, diff, quantise

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

CLEAR = b"\x1b[0m\x1b[2J"
# Synchronised output: the terminal shows everything between the two at once. Terminals without
# it ignore both.
_BEGIN, _END = b"\x1b[?2026h", b"\x1b[?2026l"


class Canvas:
    """A terminal's cells: the picture's, two dots each, and a last line for the status.

    Attributes:
        columns: Of the terminal.
        rows: Of the picture's area, one less than the terminal's.
    """

    def __init__(self, ability: Ability, columns: int, rows: int) -> None:
        self._ability = ability
        self.resize(columns, rows)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture's area, dots."""
        return self.columns, 2 * self.rows

    def resize(self, columns: int, rows: int) -> None:
        """Begin anew: the terminal has another size, or its contents are unknown."""
        self.columns, self.rows = max(columns, 1), max(rows - 1, 1)
        self._begin = CLEAR
        self._status = ""
        self._changed = False
        self._placement: Placement | None = None
        self._dots = np.zeros((2 * self.rows, self.columns, 3), np.uint8)
        self._shown = blank(self.rows, self.columns)
        self._wanted = self._shown.copy()

    def place(self, placement: Placement | None) -> None:
        """Set the picture's place, and clear the area."""
        self._placement = placement
        self._dots[...] = 0
        self._wanted[...] = BLANK
        self._changed = True

    def draw(self, dots: Iterable[Rect] | None, read: Callable[[Rect], Pixels]) -> None:
        """Sample parts of the picture; `paint` returns the bytes.

        Args:
            dots: Parts of the view; None is all of it.
            read: Returns the pixels of a rectangle, B G R X or one byte each.
        """
        placement = self._placement
        visible = placement.visible if placement is not None else None
        if placement is None or visible is None:
            return
        for part in [visible] if dots is None else dots:
            if (inside := part.intersection(visible)) is None:
                continue
            rows, columns = slice(inside.y, inside.bottom), slice(inside.x, inside.right)
            pixels = read(source_rect(placement, inside))
            self._dots[rows, columns] = sample(pixels, placement, inside)
            self._quantise(inside, visible)
            self._changed = True

    def _quantise(self, dots: Rect, visible: Rect) -> None:
        """Turn dots into the codes of their cells; a half outside the picture stays blank."""
        top, bottom = dots.y // 2, -(-dots.bottom // 2)
        columns = slice(dots.x, dots.right)
        codes = quantise(self._dots[2 * top : 2 * bottom, columns], self._ability)
        if self._ability.blocks and self._ability.colours != Colours.NONE:
            rows = np.arange(2 * top, 2 * bottom).reshape(-1, 2)
            outside = (rows < visible.y) | (rows >= visible.bottom)
            codes = np.where(outside[:, np.newaxis, :], BLANK, codes)
        self._wanted[top:bottom, columns] = codes

    def paint(self, status: str) -> bytes:
        """Return the bytes that update the terminal; empty where nothing changed.

        Args:
            status: The last line; cut to the terminal's width.
        """
        begin, self._begin = self._begin, b""
        out = b""
        if self._changed:
            out = diff(self._shown, self._wanted, self._ability)
            np.copyto(self._shown, self._wanted)
            self._changed = False
        if status != self._status or begin:
            self._status = status
            line = status[: self.columns].ljust(self.columns)
            if not self._ability.blocks:
                line = line.replace("│", "|").encode("ascii", "replace").decode()
            out += f"\x1b[0;7m\x1b[{self.rows + 1};1H{line}\x1b[0m".encode()
        return _BEGIN + begin + out + _END if out else b""
