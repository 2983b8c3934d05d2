"""One tile of a wall: a small picture of a machine, and the state of that picture."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


class TileState(Enum):
    """The states of a tile's picture."""

    OFF = "off"
    """The machine does not run; the picture is its last one."""
    WAITING = "waiting"
    """The machine runs, and its first picture has not arrived."""
    LIVE = "live"
    """The picture is the guest's."""
    PAUSED = "paused"
    """The same, of a paused machine."""
    NO_PICTURE = "no picture"
    """The machine runs and shows nothing now; the picture is old."""
    NOT_RESPONDING = "not responding"
    """The host does not answer; the picture is old."""


class TilePicture(NamedTuple):
    """One picture of a tile.

    Attributes:
        pixels: ``(height, width, 4)`` bytes, B G R X with X = 255; read-only and C-contiguous. They
            never change.
        version: Counts the pictures of this tile.
        guest_size: Width and height of the guest's screen; of the picture itself if it was loaded
            from a file.
    """

    pixels: npt.NDArray[np.uint8]
    version: int
    guest_size: tuple[int, int]


class Tile(NamedTuple):
    """The content of a tile.

    Attributes:
        name: The machine's name.
        picture: The newest picture; None before the first.
        state: The state of the picture.
        reason: Why the picture is not the guest's, in any text; empty if it is.
    """

    name: str
    picture: TilePicture | None = None
    state: TileState = TileState.OFF
    reason: str = ""

    def showing(
        self, pixels: npt.NDArray[np.uint8], guest_size: tuple[int, int] | None = None
    ) -> Tile:
        """Return the tile with another picture.

        Args:
            pixels: As of `TilePicture`; or ``(height, width)``, which is shown in grey.
            guest_size: Width and height of the guest's screen.
        """
        if pixels.ndim == 2:
            pixels = np.dstack((pixels, pixels, pixels, np.full_like(pixels, 255)))
            pixels.flags.writeable = False
        version = self.picture.version + 1 if self.picture else 1
        size = guest_size or (pixels.shape[1], pixels.shape[0])
        return self._replace(picture=TilePicture(pixels, version, size))

    def is_like(self, other: Tile) -> bool:
        """Return whether another tile of the machine looks the same."""
        version = self.picture and self.picture.version
        other_version = other.picture and other.picture.version
        return (version, *self[2:]) == (other_version, *other[2:])


class TileBoard:
    """The tiles of a wall: one thread changes them, any thread reads them.

    Args:
        on_change: Called by `report` with the names of the tiles that have changed.
    """

    def __init__(self, on_change: Callable[[frozenset[str]], object]) -> None:
        self._on_change = on_change
        self._tiles: dict[str, Tile] = {}
        self._changed: set[str] = set()

    def tile(self, name: str) -> Tile:
        """Return the tile of a machine; an empty one for an unknown name."""
        return self._tiles.get(name) or Tile(name)

    def has(self, name: str) -> bool:
        """Return whether there is a tile of this name."""
        return name in self._tiles

    def set(self, tile: Tile) -> None:
        """Replace a tile."""
        if not (self.has(tile.name) and tile.is_like(self.tile(tile.name))):
            self._tiles[tile.name] = tile
            self._changed.add(tile.name)

    def set_state(self, name: str, state: TileState, reason: str = "") -> None:
        """Set the state of a tile's picture."""
        self.set(self.tile(name)._replace(state=state, reason=reason))

    def drop(self, name: str) -> None:
        """Remove a tile."""
        self._tiles.pop(name, None)
        self._changed.discard(name)

    def report(self) -> None:
        """Call back once for all changes since the last report."""
        changed, self._changed = self._changed, set()
        if changed:
            self._on_change(frozenset(changed))
