"""The grid of tiles over one screen, and rectangles made of tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..surface.geometry import Rect

if TYPE_CHECKING:
    import numpy.typing as npt


class TileGrid(NamedTuple):
    """The tiles of one mode, numbered row by row.

    Attributes:
        side: The side of a tile, pixels.
        width: The width of the screen, pixels.
        height: The height of the screen, pixels.
    """

    side: int
    width: int
    height: int

    @property
    def columns(self) -> int:
        """The number of tiles in a row."""
        return -(-self.width // self.side)

    @property
    def tile_count(self) -> int:
        """The number of tiles."""
        return -(-self.height // self.side) * self.columns

    def rects(self, tiles: npt.NDArray[np.intp]) -> list[Rect]:
        """Return rectangles that cover tiles: runs within a row, equal runs of rows joined."""
        side, columns = self.side, self.columns
        tiles = np.sort(tiles)
        breaks = np.flatnonzero((np.diff(tiles) != 1) | (tiles[1:] % columns == 0)) + 1
        rects: list[Rect] = []
        for run in np.split(tiles, breaks):
            row, column = divmod(int(run[0]), columns)
            x, y = column * side, row * side
            width = min(len(run) * side, self.width - x)
            height = min(side, self.height - y)
            last = rects[-1] if rects else None
            if last and (last.x, last.width, last.bottom) == (x, width, y):
                rects[-1] = Rect(x, last.y, width, last.height + height)
            else:
                rects.append(Rect(x, y, width, height))
        return rects

    def tiles_in(self, rect: Rect) -> npt.NDArray[np.intp]:
        """Return the tiles that a rectangle touches."""
        rows = np.arange(rect.y // self.side, (rect.bottom - 1) // self.side + 1)
        columns = np.arange(rect.x // self.side, (rect.right - 1) // self.side + 1)
        return (rows[:, None] * self.columns + columns).ravel()

    def tile_at(self, piece: Rect) -> int:
        """Return the tile of a rectangle's top left pixel."""
        return piece.y // self.side * self.columns + piece.x // self.side

    def pieces(self, rect: Rect) -> list[Rect]:
        """Cut a rectangle at the borders of tiles."""
        side = self.side
        rows = range(rect.y // side * side, rect.bottom, side)
        columns = range(rect.x // side * side, rect.right, side)
        ys = [(max(y, rect.y), min(y + side, rect.bottom)) for y in rows]
        xs = [(max(x, rect.x), min(x + side, rect.right)) for x in columns]
        return [Rect(x, y, right - x, bottom - y) for y, bottom in ys for x, right in xs]

    def around(self, tiles: npt.NDArray[np.intp]) -> Rect:
        """Return the rectangle that holds all of these tiles."""
        rows, columns = np.divmod(tiles, self.columns)
        x, y = int(columns.min()) * self.side, int(rows.min()) * self.side
        right = min((int(columns.max()) + 1) * self.side, self.width)
        bottom = min((int(rows.max()) + 1) * self.side, self.height)
        return Rect(x, y, right - x, bottom - y)


def merged(pieces: list[Rect]) -> list[Rect]:
    """Join neighbours: pieces side by side, then equal runs of rows below each other."""
    rows: list[Rect] = []
    for piece in pieces:
        last = rows[-1] if rows else None
        if last and (last.right, last.y, last.height) == (piece.x, piece.y, piece.height):
            rows[-1] = Rect(last.x, last.y, last.width + piece.width, last.height)
        else:
            rows.append(piece)
    out: list[Rect] = []
    ends: dict[tuple[int, int, int], int] = {}
    for row in rows:
        at = ends.pop((row.x, row.width, row.y), len(out))
        if at == len(out):
            out.append(row)
        else:
            out[at] = Rect(row.x, out[at].y, row.width, out[at].height + row.height)
        ends[row.x, row.width, row.bottom] = at
    return out
