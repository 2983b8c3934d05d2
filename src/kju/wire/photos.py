"""An encoder for viewers that take JPEG: photographs come as that first, and exact at rest.

Rules:

- The shadow is what the screen shows, as for others; a viewer shows something near it in the tiles
  that are `rough`. So it does not matter how a viewer decodes, and nothing wrong adds up.
- A tile becomes rough by a photo, and by a move from a rough one; nothing but being sent whole and
  exact ends that, when it has not changed for `REST`.
- Whether something is like a photograph is measured: what it costs exact and as JPEG.
- What changes goes first, but one segment in `TURN` is for what is at rest: a film must not keep
  the rest of a screen rough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..surface.geometry import Rect
from . import _wire, blocks, photos
from .encoder import AROUND_PHOTO, MAX_DATA, MOST_ITEMS, Encoder, Move, Step
from .messages import MAX_PHOTO_PIXELS, MAX_PHOTOS, Codec, Photo

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface import Mode
    from ..surface.consumer import Consumer
    from ._wire import Box

#: Seconds without a change until a tile is sent exact. Measured: that has 19 times the bytes of the
#: photo before, so what moves three times a second should not be, as it is with 0.25.
REST = 0.4
#: One segment in so many is for what is at rest, while something else changes: a film that fills
#: the link loses a quarter of that until the rest is exact.
TURN = 4
#: A photo is worth it where what is exact has so many times its bytes. Measured in tiles of 32
#: pixels, at 3: 0.1 % of windows with text that move, and none of other text; 99.7 to 100 % of
#: photographs. With 2 it is 5 % of the windows, with 4 99.5 % of a photograph.
GAIN = 3
#: They have to gain together, too: neighbours compress together, a slope of colours 70 times better
#: than its tiles do.
GAIN_OF_ALL = 2
#: Bytes of a segment that are not worth looking at: fewer than one tile of a photograph has. On a
#: slow link a segment may have no more than that.
WORTH = 1000
#: Seconds for which it is believed what a tile is like.
BELIEVED = 1.0
#: Bytes that every photo begins with, of one as `photos` makes them.
HEAD = 173

_UNKNOWN, _PHOTO, _PLAIN = 0, 1, 2


class LossyEncoder(Encoder):
    """One screen, for all its viewers that take JPEG."""

    lossy = True

    def __init__(self, consumer: Consumer, codec: Codec = "zstd") -> None:
        super().__init__(consumer, codec)
        self._clock = 0.0
        self._turn = 0
        #: What the last step draws.
        self._changed: list[Rect] = []
        #: Bytes of a tile that was sent exact last.
        self._each_exact = 1.0
        self._rough = np.zeros(0, np.bool_)
        self._drawn = np.zeros(0, np.float64)
        self._seems = np.zeros(0, np.int8)
        self._until = np.zeros(0, np.float64)

    @property
    def exact(self) -> bool:
        """Whether a viewer in step shows the shadow, and not only something near it."""
        return not self._rough.any()

    def look(self, now: float) -> bool:
        """Look at the screen; return whether anything is not in the shadow, or may become exact."""
        self._clock = now
        return super().look(now) or bool(self._resting(now).any())

    def advance(self, now: float, focus: Rect | None = None, most: int = MAX_DATA) -> Step | None:
        """Take some of what has changed into the shadow, or make some exact that is at rest."""
        self._clock = now
        self._turn += 1
        if self._turn >= TURN and (step := self._make_exact(now, most)):
            return step
        return super().advance(now, focus, most) or self._make_exact(now, most)

    def repair(
        self,
        tiles: npt.NDArray[np.intp],
        most: int = MAX_DATA,
        new: npt.NDArray[np.bool_] | None = None,
    ) -> Step:
        """Whole tiles of the shadow; what a viewer has never had comes near first.

        What is exact for others becomes rough by that: they are sent it once more.
        """
        if new is None:
            return self._fitting(tiles, most)
        first = tiles[new & ~self._rough[tiles] & (self._seems[tiles] == _PHOTO)]
        self._rough[first] = True
        step = self._fitting(tiles, most)
        sent = np.isin(first, step.tiles)
        self._rough[first[~sent]] = False
        self._drawn[first[sent]] = self._clock
        return step if sent.any() else step._replace(exact=self.exact)

    # ---- what is at rest ----

    def _resting(self, now: float) -> npt.NDArray[np.bool_]:
        return self._rough & (self._drawn + REST <= now)

    def _make_exact(self, now: float, most: int) -> Step | None:
        self._turn = 0
        if not self._follow_mode():
            return None
        version = self._consumer.reader.version
        dirty = self._dirty(now)
        tiles = np.flatnonzero(self._resting(now) & ~dirty)
        if not len(tiles):
            return None
        # What is not dirty is as it is at this version: none that a viewer has heard of is later.
        self.version = version
        self.whole = self.whole if dirty.any() else version
        tiles = tiles[: max(1, int(0.9 * most / self._each_exact))]
        self._rough[tiles] = False
        step = self._fitting(tiles, most)
        self._rough[tiles[len(step.tiles) :]] = True
        self._each_exact = max(1.0, step.length / len(step.tiles))
        return self._keep(step._replace(generation=self.generation + 1, exact=self.exact))

    # ---- steps ----

    def _begin(self, mode: Mode) -> None:
        super()._begin(mode)
        tiles = len(self.stamps)
        self._rough = np.zeros(tiles, np.bool_)
        self._drawn = np.zeros(tiles, np.float64)
        self._seems = np.full(tiles, _UNKNOWN, np.int8)
        self._until = np.zeros(tiles, np.float64)

    def _take(
        self,
        step: Step | None,
        base: npt.NDArray[np.uint8],
        moves: list[Move],
        tiles: npt.NDArray[np.intp],
        dirty: npt.NDArray[np.intp],
        version: int,
    ) -> Step | None:
        for to, x, y in moves:
            if self._rough[self._tiles_of(Rect(x, y, to.width, to.height))].any():
                self._rough[self._tiles_of(to)] = True
            self._drawn[self._tiles_of(to)] = self._clock
        if step is not None:
            for rect in self._changed:
                here = self._tiles_of(rect)
                self._drawn[here] = self._clock
                self._seems[here[self._seems[here] == _PHOTO]] = _UNKNOWN
            for photo in step.photos:
                here = self._tiles_of(_rect(photo))
                self._rough[here], self._seems[here] = True, _PHOTO
            step = step._replace(exact=self.exact)
        return super()._take(step, base, moves, tiles, dirty, version)

    def _step(
        self, head: bytes, changed: list[Box], tiles: npt.NDArray[np.intp], version: int
    ) -> Step:
        self._changed = [Rect(*each) for each in changed]
        near, plain = self._believed(self._changed)
        made = self._photos(self._now, near)
        block = self._block(head + _wire.pack(self._now, self._form, plain))
        found: list[Rect] = []
        rest: list[Rect] = []
        if len(block.data) > WORTH:
            found, rest = self._measured(plain)
        if found:
            more = self._photos(self._now, found)
            smaller = self._block(head + _wire.pack(self._now, self._form, rest))
            size = sum(len(photo.data) + AROUND_PHOTO for photo in more)
            if size * GAIN_OF_ALL < len(block.data) - len(smaller.data):
                made, block = made + more, smaller
            else:
                self._believe(found, _PLAIN)
        pixels = sum(photo.width * photo.height for photo in made)
        items = max(len(plain), len(rest))
        if len(made) > MAX_PHOTOS or pixels > MAX_PHOTO_PIXELS or items > MOST_ITEMS:
            made, block = (), self._block(head + _wire.pack(self._now, self._form, changed))
        return Step(self.generation + 1, version, 0, tiles, block, made)

    def _whole_tiles(self, tiles: npt.NDArray[np.intp]) -> Step:
        """These tiles of the shadow, those that are rough as photos."""
        rough = self._rough[tiles]
        if not rough.any():
            return super()._whole_tiles(tiles)._replace(exact=self.exact)
        block = self.nothing if rough.all() else super()._whole_tiles(tiles[~rough]).block
        made = self._photos(self._shadow, self._rects(tiles[rough]))
        return Step(self.generation, self.version, self.whole, tiles, block, made, exact=False)

    def _part(self, picture: npt.NDArray[np.uint8], rect: Rect) -> npt.NDArray[np.uint8]:
        return picture[rect.y : rect.bottom, rect.x : rect.right]

    def _photos(self, picture: npt.NDArray[np.uint8], near: list[Rect]) -> tuple[Photo, ...]:
        return tuple(
            Photo(*each, photos.compress(self._part(picture, each))) for each in _merged(near)
        )

    # ---- what is like a photograph ----

    def _believed(self, rects: list[Rect]) -> tuple[list[Rect], list[Rect]]:
        """What is known to be like a photograph of these rectangles, and the rest."""
        known = (self._seems == _PHOTO) & (self._until > self._clock)
        if not known.any():
            return [], rects
        near: list[Rect] = []
        plain: list[Rect] = []
        for rect in rects:
            if not known[self._tiles_of(rect)].any():
                plain.append(rect)
                continue
            pieces = self._pieces(rect)
            near += [piece for piece in pieces if known[self._tile_at(piece)]]
            plain += _merged([piece for piece in pieces if not known[self._tile_at(piece)]])
        return near, plain

    def _measured(self, rects: list[Rect]) -> tuple[list[Rect], list[Rect]]:
        """What is like a photograph of these rectangles, and the rest."""
        found: list[Rect] = []
        plain: list[Rect] = []
        asked = (self._seems != _PLAIN) | (self._until <= self._clock)
        for rect in rects:
            if not asked[self._tiles_of(rect)].any():
                plain.append(rect)
                continue
            pieces = self._pieces(rect)
            new = [piece for piece in pieces if asked[self._tile_at(piece)]]
            gain = {piece for piece in new if self._gains(piece)}
            found += [piece for piece in pieces if piece in gain]
            plain += _merged([piece for piece in pieces if piece not in gain])
            self._believe(new, _PLAIN)
        self._believe(found, _PHOTO)
        return found, plain

    def _gains(self, piece: Rect) -> bool:
        """Whether a photo of this has far fewer bytes than what is exact."""
        packed = _wire.pack(self._now, self._form, [piece])
        if len(packed) < piece.area:
            return False  # 16 colours at most: less than a byte for each pixel
        near = len(photos.compress(self._part(self._now, piece))) - HEAD
        return blocks.least(packed) > GAIN * near

    def _believe(self, pieces: list[Rect], what: int) -> None:
        tiles = [self._tile_at(piece) for piece in pieces]
        self._seems[tiles] = what
        self._until[tiles] = self._clock + BELIEVED

    def _tile_at(self, piece: Rect) -> int:
        return piece.y // self.tile_side * self._columns + piece.x // self.tile_side

    def _pieces(self, rect: Rect) -> list[Rect]:
        """A rectangle's part in each tile."""
        side = self.tile_side
        rows = range(rect.y // side * side, rect.bottom, side)
        columns = range(rect.x // side * side, rect.right, side)
        ys = [(max(y, rect.y), min(y + side, rect.bottom)) for y in rows]
        xs = [(max(x, rect.x), min(x + side, rect.right)) for x in columns]
        return [Rect(x, y, right - x, bottom - y) for y, bottom in ys for x, right in xs]


def _rect(photo: Photo) -> Rect:
    return Rect(photo.x, photo.y, photo.width, photo.height)


def _merged(pieces: list[Rect]) -> list[Rect]:
    """Neighbours as one: those side by side, and then rows that are alike below each other."""
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
