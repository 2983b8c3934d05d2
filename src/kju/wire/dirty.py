"""The tiles of a screen that have changed since an encoder copied them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..surface.geometry import Rect
from .grid import TileGrid

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface.consumer import Consumer

#: The most tiles of one segment. More tiles compress better together, but arrive later.
MAX_TILES = 256
#: Seconds by which a tile in the focus is ahead of every waiting tile.
FOCUS_LEAD = 1e9


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
        self.bytes_per_tile = 1.0

    def find(self, now: float) -> npt.NDArray[np.bool_]:
        """Return the mask of the tiles that are newer on the screen than their copy."""
        table = self._consumer.tile_versions()
        times = self._consumer.tile_side // self._grid.side
        if times > 1:
            columns = self._grid.columns
            rows = len(self._copied) // columns
            table = table.repeat(times, 0).repeat(times, 1)[:rows, :columns]
        table = table.ravel()
        if len(table) != len(self._copied):
            # The mode has changed since the caller read it. The next call has the new one.
            return np.zeros(len(self._copied), np.bool_)
        dirty = table > self._copied
        self._since[dirty & np.isinf(self._since)] = now
        return dirty

    def add(self, tiles: npt.NDArray[np.intp], now: float) -> None:
        """Make clean tiles dirty."""
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
            order = np.where(near, distance - FOCUS_LEAD, order)
        return dirty[np.argsort(order, kind="stable")[:fit]]
