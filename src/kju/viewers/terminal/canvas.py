"""What a terminal shows and what it is to show: pixels in, bytes out. I/O-free."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from ...surface.geometry import Rect, Region
from .ability import Ability
from .cells import Placement, fit, sample
from .paint import blank, diff, quantise

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

CLEAR = b"\x1b[0m\x1b[2J"
# Asks the terminal to show what follows in one step; one that does not know it ignores it.
_BEGIN, _END = b"\x1b[?2026h", b"\x1b[?2026l"


class Canvas:
    """A terminal's cells, the last line kept for the status.

    Attributes:
        columns: Of the terminal.
        rows: Of the picture's area, one less than the terminal's.
    """

    def __init__(self, ability: Ability, columns: int, rows: int) -> None:
        self._ability = ability
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size, or shows something else: begin again."""
        self.columns, self.rows = max(columns, 1), max(rows - 1, 1)
        self._begin = CLEAR
        self._status = ""
        self._taken = False
        self._placement: Placement | None = None
        self._shown = blank(self.rows, self.columns)
        self._wanted = self._shown.copy()

    def take(
        self,
        size: tuple[int, int],
        rects: Iterable[Rect],
        read: Callable[[Rect], Pixels],
    ) -> None:
        """Sample what changed; `paint` gives the bytes.

        Args:
            size: Of the picture, pixels.
            rects: What changed; everything is sampled when the size is new.
            read: Gives the pixels of a rectangle, B G R X or one byte each.
        """
        self._taken = True
        place = self._placement
        if place is None or (place.width, place.height) != size:
            place = self._placement = fit(*size, self.columns, self.rows)
            self._wanted[...] = blank(self.rows, self.columns)
            rects = [Rect(0, 0, *size)]
        for cells in Region(place.cells(rect) for rect in rects).take():
            dots = sample(read(place.pixels(cells)), place, cells)
            x, y = place.left + cells.x, place.top + cells.y
            part = quantise(dots, self._ability)
            self._wanted[y : y + cells.height, x : x + cells.width] = part

    def paint(self, status: str) -> bytes:
        """The bytes that bring the terminal up to date; none where it is.

        Args:
            status: For the last line; cut to its width.
        """
        begin, self._begin = self._begin, b""
        out = b""
        if self._taken:
            out = diff(self._shown, self._wanted, self._ability)
            np.copyto(self._shown, self._wanted)
            self._taken = False
        if status != self._status or begin:
            self._status = status
            line = status[: self.columns].ljust(self.columns)
            if not self._ability.blocks:
                line = line.replace("│", "|").encode("ascii", "replace").decode()
            out += f"\x1b[0;7m\x1b[{self.rows + 1};1H{line}\x1b[0m".encode()
        return _BEGIN + begin + out + _END if out else b""
