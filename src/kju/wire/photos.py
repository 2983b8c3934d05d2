"""The photo policy of an encoder: which areas are sent as JPEG first, and when they become exact.

Rules:

- The encoder's shadow is always the screen's own pixels. A viewer shows something close to it in
  the tiles that are *rough*. So differences between JPEG decoders do not matter, and errors do not
  add up.
- A photo makes a tile rough, and so does a move from a rough tile. Only the whole, exact tile makes
  it exact again, after `REST_TIME` without a change.
- A tile counts as photographic if its photo is much shorter than its exact pixels (measured).
- Changes go first, but one segment in `_EXACT_EVERY` is for tiles at rest: a film must not keep the
  rest of the screen rough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..surface.geometry import Rect
from . import codecs, jpeg
from .messages import MAX_PHOTO_PIXELS, MAX_PHOTOS, Photo
from .steps import MAX_RECTS, PHOTO_OVERHEAD, Block, MovedRect, Pictures, Step
from .tiles import TileGrid, merged

if TYPE_CHECKING:
    import numpy.typing as npt

    from ._wire import Box

#: Seconds without a change until a rough tile is sent exactly. Measured: the exact pixels have 19
#: times the bytes of the photo, so areas that move three times a second should stay rough; with
#: 0.25 s they do not.
REST_TIME = 0.4
#: One segment in this many is for tiles at rest while something else changes. A film that fills the
#: link loses a quarter of it until the rest is exact.
_EXACT_EVERY = 4
#: A tile is photographic if its exact bytes are more than this many times its photo's. Measured in
#: tiles of 32 pixels, 3 finds 0.1 % of moving windows with text, no other text, and 99.7 to 100 %
#: of photographs. 2 finds 5 % of the windows, 4 finds 99.5 % of a photograph.
_MIN_GAIN = 3
#: The same for all photos of a segment together. Neighbours compress together: a colour gradient 70
#: times better than its tiles do one by one.
_MIN_TOTAL_GAIN = 2
#: Blocks up to this length are not examined: one tile of a photograph is longer. On a slow link a
#: segment may be no longer than that.
_MIN_BLOCK = 1000
#: Nor are blocks with at most this many bytes for each tile, such as a desktop without photographs:
#: to examine 256 tiles takes 7 ms, four times as long as to compress them, and could save 8 kB. A
#: tile of a photograph has 2 kB.
_MIN_TILE_BYTES = 32
#: Seconds until a tile is measured again.
MEASURE_INTERVAL = 1.0
#: Bytes at the beginning of every photo from `jpeg.compress`, whatever it shows.
_PHOTO_HEADER = 173

_UNKNOWN, _PHOTOGRAPHIC, _PLAIN = 0, 1, 2
_NO_TILES = np.zeros(0, np.intp)

#: Compresses a block of some boxes of the current picture, or of some tiles of the shadow.
_BlockOfBoxes = Callable[[Sequence["Box"]], Block]
_BlockOfTiles = Callable[["npt.NDArray[np.intp]"], Block]


class ExactPolicy:
    """The policy of lossless viewers: no photos."""

    is_lossy = False

    def begin(self, grid: TileGrid, pictures: Pictures) -> None:
        """Begin with the black picture of a new mode."""

    @property
    def is_exact(self) -> bool:
        """True if a viewer that has taken all steps shows exactly the shadow."""
        return True

    @property
    def rest_due(self) -> float | None:
        """The first time at which a rough tile is at rest; None without one."""
        return None

    def is_exact_due(self, now: float) -> bool:
        """Return whether the next segment is for tiles at rest, and count the segment."""
        return False

    def at_rest(self, now: float) -> npt.NDArray[np.intp]:
        """Return the rough tiles that have not changed for `REST_TIME`."""
        return _NO_TILES

    def begin_exact(self, now: float) -> npt.NDArray[np.intp]:
        """Count segments anew until the next exact one, and return the tiles at rest."""
        return _NO_TILES

    def make_exact(
        self,
        tiles: npt.NDArray[np.intp],
        max_bytes: int,
        encode: Callable[[npt.NDArray[np.intp]], Step],
    ) -> Step:
        """Encode tiles at rest exactly, as many of the first ones as fit."""
        return encode(tiles)

    def repair(
        self,
        tiles: npt.NDArray[np.intp],
        is_new: npt.NDArray[np.bool_],
        encode: Callable[[], Step],
        now: float,
    ) -> Step:
        """Encode whole tiles for a viewer that is behind; *is_new*: it never had the tile."""
        return encode()

    def encode_boxes(
        self, boxes: Sequence[Box], block: _BlockOfBoxes, now: float
    ) -> tuple[Block, tuple[Photo, ...]]:
        """Encode changed boxes of the current picture."""
        return block(boxes), ()

    def encode_tiles(
        self, tiles: npt.NDArray[np.intp], block: _BlockOfTiles
    ) -> tuple[Block, tuple[Photo, ...], bool]:
        """Encode whole tiles of the shadow.

        Returns:
            The block, the photos, and whether a viewer is exact after them.
        """
        return block(tiles), (), True

    def record(self, step: Step | None, moves: list[MovedRect], now: float) -> Step | None:
        """Record a step that the shadow has taken, and return it with its exactness."""
        return step


class PhotoPolicy(ExactPolicy):
    """The policy of viewers that accept JPEG.

    Attributes:
        rough: The mask of the tiles that viewers show only approximately.
    """

    is_lossy = True

    def __init__(self) -> None:
        self._turn = 0
        self._exact_tile_bytes = 1.0
        self._changed: list[Rect] = []

    def begin(self, grid: TileGrid, pictures: Pictures) -> None:
        """Begin with the black picture of a new mode."""
        self._grid, self._pictures = grid, pictures
        self.rough = np.zeros(grid.tile_count, np.bool_)
        self._drawn_at = np.zeros(grid.tile_count, np.float64)
        self._kind = np.full(grid.tile_count, _UNKNOWN, np.int8)
        self._measured_until = np.zeros(grid.tile_count, np.float64)

    @property
    def is_exact(self) -> bool:
        """True if a viewer that has taken all steps shows exactly the shadow."""
        return not self.rough.any()

    @property
    def rest_due(self) -> float | None:
        """The first time at which a rough tile is at rest; None without one."""
        return None if self.is_exact else float(self._drawn_at[self.rough].min()) + REST_TIME

    # ---- tiles at rest ----

    def is_exact_due(self, now: float) -> bool:
        """Return whether the next segment is for tiles at rest, and count the segment."""
        self._turn += 1
        return self._turn >= _EXACT_EVERY

    def at_rest(self, now: float) -> npt.NDArray[np.intp]:
        """Return the rough tiles that have not changed for `REST_TIME`."""
        return np.flatnonzero(self.rough & (self._drawn_at + REST_TIME <= now))

    def begin_exact(self, now: float) -> npt.NDArray[np.intp]:
        """Count segments anew until the next exact one, and return the tiles at rest."""
        self._turn = 0
        return self.at_rest(now)

    def make_exact(
        self,
        tiles: npt.NDArray[np.intp],
        max_bytes: int,
        encode: Callable[[npt.NDArray[np.intp]], Step],
    ) -> Step:
        """Encode tiles at rest exactly, as many of the first ones as fit."""
        tiles = tiles[: max(1, int(0.9 * max_bytes / self._exact_tile_bytes))]
        self.rough[tiles] = False
        step = encode(tiles)
        self.rough[tiles[len(step.tiles) :]] = True  # these did not fit
        self._exact_tile_bytes = max(1.0, step.length / len(step.tiles))
        return step._replace(exact=self.is_exact)

    def repair(
        self,
        tiles: npt.NDArray[np.intp],
        is_new: npt.NDArray[np.bool_],
        encode: Callable[[], Step],
        now: float,
    ) -> Step:
        """Encode whole tiles for a viewer that is behind; *is_new*: it never had the tile.

        Photographic tiles that are new to it are sent as photos. They are rough for all viewers
        then, so the others are sent them once more.
        """
        first = tiles[is_new & ~self.rough[tiles] & (self._kind[tiles] == _PHOTOGRAPHIC)]
        self.rough[first] = True
        step = encode()
        sent = np.isin(first, step.tiles)
        self.rough[first[~sent]] = False
        self._drawn_at[first[sent]] = now
        return step if sent.any() else step._replace(exact=self.is_exact)

    # ---- steps ----

    def encode_boxes(
        self, boxes: Sequence[Box], block: _BlockOfBoxes, now: float
    ) -> tuple[Block, tuple[Photo, ...]]:
        """Encode changed boxes of the current picture, photographic areas as photos."""
        self._changed = [Rect(*each) for each in boxes]
        known, plain = self._split_by_kind(self._changed, now)
        made = self._photos(self._pictures.current, known)
        found = block(plain)
        rest: list[Rect] = []
        if self._may_have_photos(found, plain):
            new, rest = self._split_by_measure(plain, now)
            if new:
                more, smaller = self._photos(self._pictures.current, new), block(rest)
                size = sum(len(photo.data) + PHOTO_OVERHEAD for photo in more)
                if size * _MIN_TOTAL_GAIN < len(found.data) - len(smaller.data):
                    made, found = made + more, smaller
                else:
                    self._set_kind(new, _PLAIN, now)
        pixels = sum(photo.width * photo.height for photo in made)
        rects = max(len(plain), len(rest))
        if len(made) > MAX_PHOTOS or pixels > MAX_PHOTO_PIXELS or rects > MAX_RECTS:
            return block(boxes), ()
        return found, made

    def encode_tiles(
        self, tiles: npt.NDArray[np.intp], block: _BlockOfTiles
    ) -> tuple[Block, tuple[Photo, ...], bool]:
        """Encode whole tiles of the shadow, rough ones as photos."""
        rough = self.rough[tiles]
        if not rough.any():
            return block(tiles), (), self.is_exact
        made = self._photos(self._pictures.shadow, self._grid.rects(tiles[rough]))
        return block(tiles[~rough]), made, False

    def record(self, step: Step | None, moves: list[MovedRect], now: float) -> Step | None:
        """Record a step that the shadow has taken, and return it with its exactness."""
        for to, x, y in moves:
            target = self._grid.tiles_in(to)
            if self.rough[self._grid.tiles_in(Rect(x, y, to.width, to.height))].any():
                self.rough[target] = True
            self._drawn_at[target] = now
        if step is None:
            return None
        for rect in self._changed:
            tiles = self._grid.tiles_in(rect)
            self._drawn_at[tiles] = now
            self._kind[tiles[self._kind[tiles] == _PHOTOGRAPHIC]] = _UNKNOWN
        for photo in step.photos:
            tiles = self._grid.tiles_in(Rect(photo.x, photo.y, photo.width, photo.height))
            self.rough[tiles], self._kind[tiles] = True, _PHOTOGRAPHIC
        return step._replace(exact=self.is_exact)

    def _may_have_photos(self, block: Block, boxes: Sequence[Box]) -> bool:
        """Return whether to examine boxes for photographic areas, by their block."""
        tiles = sum(width * height for _, _, width, height in boxes) / self._grid.side**2
        return len(block.data) > max(_MIN_BLOCK, _MIN_TILE_BYTES * tiles)

    def _photos(self, picture: npt.NDArray[np.uint8], pieces: list[Rect]) -> tuple[Photo, ...]:
        return tuple(Photo(*each, _compress(picture, each)) for each in merged(pieces))

    # ---- the kind of a tile ----

    def _split_by_kind(self, rects: list[Rect], now: float) -> tuple[list[Rect], list[Rect]]:
        """Split rectangles into areas known to be photographic, and the rest."""
        known = (self._kind == _PHOTOGRAPHIC) & (self._measured_until > now)
        if not known.any():
            return [], rects
        grid = self._grid
        photographic: list[Rect] = []
        plain: list[Rect] = []
        for rect in rects:
            if not known[grid.tiles_in(rect)].any():
                plain.append(rect)
                continue
            pieces = grid.pieces(rect)
            photographic += [piece for piece in pieces if known[grid.tile_at(piece)]]
            plain += merged([piece for piece in pieces if not known[grid.tile_at(piece)]])
        return photographic, plain

    def _split_by_measure(self, rects: list[Rect], now: float) -> tuple[list[Rect], list[Rect]]:
        """Split rectangles into areas measured to be photographic, and the rest."""
        grid = self._grid
        photographic: list[Rect] = []
        plain: list[Rect] = []
        is_due = (self._kind != _PLAIN) | (self._measured_until <= now)
        for rect in rects:
            if not is_due[grid.tiles_in(rect)].any():
                plain.append(rect)
                continue
            pieces = grid.pieces(rect)
            measured = [piece for piece in pieces if is_due[grid.tile_at(piece)]]
            gains = {piece for piece in measured if self._gains(piece)}
            photographic += [piece for piece in pieces if piece in gains]
            plain += merged([piece for piece in pieces if piece not in gains])
            self._set_kind(measured, _PLAIN, now)
        self._set_kind(photographic, _PHOTOGRAPHIC, now)
        return photographic, plain

    def _gains(self, piece: Rect) -> bool:
        """Return whether a photo of this is much shorter than its exact pixels."""
        packed = self._pictures.pack([piece])
        if len(packed) < piece.area:
            return False  # at most 16 colours: less than a byte for each pixel
        photo = len(_compress(self._pictures.current, piece)) - _PHOTO_HEADER
        return codecs.estimate(packed) > _MIN_GAIN * photo

    def _set_kind(self, pieces: list[Rect], kind: int, now: float) -> None:
        tiles = [self._grid.tile_at(piece) for piece in pieces]
        self._kind[tiles] = kind
        self._measured_until[tiles] = now + MEASURE_INTERVAL


def _compress(picture: npt.NDArray[np.uint8], rect: Rect) -> bytes:
    return jpeg.compress(picture[rect.y : rect.bottom, rect.x : rect.right])
