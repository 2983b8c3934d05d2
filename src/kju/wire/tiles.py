"""The tiles of one screen: the grid, rectangles made of tiles, and the changed tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..surface.geometry import Rect

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface.consumer import Consumer

#: The most tiles of one segment. More tiles compress better together, but arrive later.
MAX_TILES = 256
#: Seconds by which a tile in the focus is ahead of every waiting tile.
_FOCUS_LEAD = 1e9


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
        if len(tiles) == 1:  # such as a typed letter
            row, column = divmod(int(tiles[0]), columns)
            x, y = column * side, row * side
            return [Rect(x, y, min(side, self.width - x), min(side, self.height - y))]
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


class DirtyTiles:
    """The dirty tiles of one mode, and the order in which they are sent.

    Args:
        consumer: The screen.
        grid: The tiles of its mode.

    Attributes:
        bytes_per_tile: Compressed bytes of a tile in the last step.
    """

    def __init__(self, consumer: Consumer, grid: TileGrid) -> None:
        self._consumer = consumer
        self._grid = grid
        self._copied = np.zeros(grid.tile_count, np.uint64)
        self._since = np.full(grid.tile_count, np.inf)
        #: A version of the screen at which no tile was dirty; -1 for none.
        self._clean_at = -1
        self._none = np.zeros(grid.tile_count, np.bool_)
        self._none.flags.writeable = False
        self.bytes_per_tile = 1.0

    def find(self, now: float) -> npt.NDArray[np.bool_]:
        """Return the mask of the tiles that are newer on the screen than their copy."""
        # Before the tiles: a tile of a later version makes another version of the screen.
        version = self._consumer.reader.version
        if version == self._clean_at:
            return self._none
        table = self._consumer.tile_versions()
        times = self._consumer.tile_side // self._grid.side
        if times > 1:
            columns = self._grid.columns
            rows = len(self._copied) // columns
            table = table.repeat(times, 0).repeat(times, 1)[:rows, :columns]
        table = table.ravel()
        if len(table) != len(self._copied):
            # The mode has changed since the caller read it. The next call has the new one.
            return self._none
        dirty = table > self._copied
        if not dirty.any():
            self._clean_at = version
            return self._none
        self._since[dirty & np.isinf(self._since)] = now
        return dirty

    def add(self, tiles: npt.NDArray[np.intp], now: float) -> None:
        """Make clean tiles dirty."""
        self._clean_at = -1
        self._copied[tiles] = 0
        self._since[tiles] = now

    def remove(self, tiles: npt.NDArray[np.intp], version: int) -> None:
        """Make tiles clean: they were copied at this version of the screen."""
        self._copied[tiles] = version
        self._since[tiles] = np.inf

    def oldest_copy(self, tiles: npt.NDArray[np.intp]) -> int:
        """Return the lowest version at which one of these tiles was copied."""
        return int(self._copied[tiles].min())

    def choose(
        self, dirty: npt.NDArray[np.intp], focus: Rect | None, max_bytes: int
    ) -> npt.NDArray[np.intp]:
        """Return the tiles of the next segment: the focus first, then the longest waiting ones."""
        # The number is a guess from the last step: a segment that is too long is encoded again.
        fit = min(MAX_TILES, max(1, int(0.9 * max_bytes / self.bytes_per_tile)))
        if len(dirty) <= fit:
            return dirty
        order = self._since[dirty]
        if focus is not None:
            side = self._grid.side
            rows, columns = np.divmod(dirty, self._grid.columns)
            near = (
                (columns * side < focus.right)
                & ((columns + 1) * side > focus.x)
                & (rows * side < focus.bottom)
                & ((rows + 1) * side > focus.y)
            )
            across = (columns + 0.5) * side - focus.x - focus.width / 2
            down = (rows + 0.5) * side - focus.y - focus.height / 2
            distance = np.maximum(np.abs(across), np.abs(down))
            order = np.where(near, distance - _FOCUS_LEAD, order)
        return dirty[np.argsort(order, kind="stable")[:fit]]


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
