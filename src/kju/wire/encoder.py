"""Encodes the changes of one screen as steps. All viewers that read alike share them.

Rules:

- The encoder keeps one picture, the *shadow*: the picture of a viewer that has taken every step. It
  is the only copy of the pixels; viewers have none of their own here.
- A step changes the shadow, and the *generation* counts steps. A viewer at the generation before
  can use a step.
- A viewer that is behind gets whole tiles of the shadow until it has caught up: `repair`.
- Versions are read before pixels, and a copy counts as that version. Changes drawn in between are
  newer, so they are sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..surface import Mode
from ..surface.formats import BYTES_PER_PIXEL
from ..surface.geometry import Rect
from . import _wire, codecs, jpeg
from .codecs import MAX_BLOCK
from .messages import MAX_MESSAGE, SessionHello
from .photos import ExactPolicy, PhotoPolicy
from .steps import MIN_MOVING_PIXELS, Block, MovedRect, Pictures, Step, StepLog, bounded
from .tiles import MAX_TILES, DirtyTiles, TileGrid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ..surface.consumer import Consumer
    from ._wire import Box

#: Bytes of a segment's data. The rest of a message is for its other fields.
MAX_DATA = MAX_MESSAGE - 200
#: The side of the encoder's tiles, if the screen's are larger. A tile must fit into one segment,
#: whatever it shows.
_MAX_TILE_SIDE = 64


class SurfaceSource:
    """Fills a surface when its viewers look at it. This one does nothing: others fill it."""

    def update(self, pixels: bool) -> None:
        """Publish the newest content, before the surface is read.

        Args:
            pixels: Publish the pixels too, not only the state.

        Raises:
            FormatError: The memory of the source is not valid.
        """

    def screen_size(self) -> tuple[int, int]:
        """Return the screen's size, pixels, if the surface is a smaller picture; else 0, 0."""
        return 0, 0


class Encoder:
    """The steps of one screen for viewers that read the same codec.

    Args:
        consumer: The screen. Its buffer stays valid as long as this is used.
        codec: The codec of the segments.
        policy: Decides about photos; by default all pixels are exact.
        source: Fills the surface of *consumer*; by default others fill it.

    Attributes:
        mode: The screen's mode; its epoch is 0 before there is one.
        born: The generation at which the mode began with a black picture.
        generation: The number of steps so far.
        version: The screen's version when something was copied last.
        complete_version: The shadow has all changes up to this version; 0 while some of it was
            never copied.
        changed_at: The generation at which each tile has changed last.
        source: The same.
    """

    def __init__(
        self,
        consumer: Consumer,
        codec: str = "zstd",
        policy: ExactPolicy | None = None,
        source: SurfaceSource | None = None,
    ) -> None:
        self._consumer = consumer
        self.source = source or SurfaceSource()
        self.codec = codec
        self.policy = policy or ExactPolicy()
        self.generation = 0
        self.version = 0
        self._begin(Mode(0, 0, 0, 0, 0), 1)

    @property
    def incarnation(self) -> int:
        """The incarnation of the screen."""
        return self._consumer.incarnation

    @property
    def tile_side(self) -> int:
        """The side of a tile, pixels."""
        return min(self._consumer.tile_side, _MAX_TILE_SIDE)

    @property
    def shadow(self) -> npt.NDArray[np.uint8]:
        """The picture of a viewer that has caught up: ``(height, width, bytes of a pixel)``."""
        return self._pictures.shadow

    @property
    def is_exact(self) -> bool:
        """True if a viewer that has caught up shows exactly the shadow."""
        return self.policy.is_exact

    @property
    def is_lossy(self) -> bool:
        """True if some steps may not be exact."""
        return self.policy.is_lossy

    @property
    def rest_due(self) -> float | None:
        """The time from which a tile at rest can become exact; None without rough tiles."""
        return self.policy.rest_due

    @property
    def empty_block(self) -> Block:
        """A block that changes nothing."""
        return self._block(b"")

    def step_after(self, generation: int) -> Step | None:
        """Return the step that follows a generation, if it is still kept."""
        return self._log.after(generation)

    def has_changes(self, now: float) -> bool:
        """Return whether the screen differs from the shadow, or some tile can become exact.

        Raises:
            FormatError: The screen's memory is not valid.
        """
        dirty = self._follow_mode() and bool(self._dirty.find(now).any())
        return dirty or bool(len(self.policy.at_rest(now)))

    def advance(
        self, now: float, focus: Rect | None = None, max_bytes: int = MAX_DATA
    ) -> Step | None:
        """Make the next step: some of the changes, or some tiles exact.

        Args:
            now: Seconds.
            focus: The area that the user looks at. It goes first, then the longest waiting tiles.
            max_bytes: The wanted limit of the segment's bytes; a single tile may be over it.

        Returns:
            The step, or None without a change.
        """
        if self.policy.is_exact_due(now) and (step := self._make_exact(now, max_bytes)):
            return step
        return self._copy_changes(now, focus, max_bytes) or self._make_exact(now, max_bytes)

    def repair(
        self,
        tiles: npt.NDArray[np.intp],
        max_bytes: int = MAX_DATA,
        is_new: npt.NDArray[np.bool_] | None = None,
        now: float = 0.0,
    ) -> Step:
        """Encode whole tiles of the shadow, as many of the first ones as fit.

        Args:
            tiles: The numbers of the tiles.
            max_bytes: The wanted limit of the segment's bytes; a single tile may be over it.
            is_new: The mask of the tiles that the viewer has never had.
            now: Seconds.
        """
        if is_new is None:
            return self._fitting(tiles, max_bytes)
        return self.policy.repair(tiles, is_new, lambda: self._fitting(tiles, max_bytes), now)

    # ---- the mode ----

    def _follow_mode(self) -> bool:
        mode = self._consumer.mode
        if mode != self.mode:
            self.generation += 1
            self._begin(mode, BYTES_PER_PIXEL[mode.fourcc])
        return bool(mode.epoch)

    def _begin(self, mode: Mode, pixel: int) -> None:
        self.mode = mode
        self.born = self.generation
        self.complete_version = 0
        self._grid = TileGrid(self.tile_side, mode.width, mode.height)
        self._pictures = Pictures(mode, pixel)
        self._dirty = DirtyTiles(self._consumer, self._grid)
        self._log = StepLog()
        #: The version at which a search has found no more moves.
        self._searched = 0
        self.changed_at = np.full(self._grid.tile_count, self.generation, np.int64)
        self.policy.begin(self._grid, self._pictures)

    # ---- changes ----

    def _copy_changes(self, now: float, focus: Rect | None, max_bytes: int) -> Step | None:
        while self._follow_mode():
            version = self._consumer.reader.version
            dirty = np.flatnonzero(self._dirty.find(now))
            if not len(dirty):
                break
            base, moves = self._pictures.shadow, list[MovedRect]()
            if version != self._searched:
                base, moves, dirty = self._find_moves(dirty, now)
            self._searched = 0 if moves else version
            chosen = self._dirty.choose(dirty, focus, max_bytes)
            while True:
                rects = self._grid.rects(chosen)
                step = self._encode(base, moves, chosen, rects, version, now)
                if step is None or step.length <= max_bytes or len(chosen) == 1:
                    break
                over = step.length + max_bytes // 4
                chosen = chosen[: max(1, len(chosen) * max_bytes // over)]
            if step is not None:
                self._dirty.bytes_per_tile = max(1.0, step.length / len(chosen))
            # Tiles that were drawn again with the same pixels make no step: choose the next ones.
            applied = self._apply(step, base, moves, chosen, rects, dirty, version, now)
            if applied is not None:
                return applied
        return None

    def _find_moves(
        self, dirty: npt.NDArray[np.intp], now: float
    ) -> tuple[npt.NDArray[np.uint8], list[MovedRect], npt.NDArray[np.intp]]:
        """Search for moves around the dirty tiles.

        Returns:
            The shadow with the moves made, the moves, and the dirty tiles after that: a move need
            not be exact, so tiles that it makes wrong are dirty too.
        """
        pictures, grid = self._pictures, self._grid
        if len(dirty) * grid.side * grid.side < MIN_MOVING_PIXELS:
            return pictures.shadow, [], dirty
        around = grid.around(dirty)
        pictures.copy(self._consumer, [around])
        base, moves = pictures.find_moves(around)
        wrong = pictures.changed(base, [move.to for move in moves])
        if wrong:
            tiles = np.unique(np.concatenate([grid.tiles_in(Rect(*each)) for each in wrong]))
            self._dirty.add(np.setdiff1d(tiles, dirty, assume_unique=True), now)
            dirty = np.union1d(dirty, tiles)
        return base, moves, dirty

    def _encode(
        self,
        base: npt.NDArray[np.uint8],
        moves: list[MovedRect],
        tiles: npt.NDArray[np.intp],
        rects: list[Rect],
        version: int,
        now: float,
    ) -> Step | None:
        """Encode the difference between *base* and the screen within tiles; None without one.

        Args:
            base: The shadow with the moves made.
            moves: The moves.
            tiles: The tiles.
            rects: Rectangles that cover these.
            version: The screen's version before the copy.
            now: Seconds.
        """
        if not moves:
            self._pictures.copy(self._consumer, rects)
        changed = bounded(self._pictures.changed(base, rects), rects)
        if not changed and not moves:
            return None
        head = b"".join(_wire.pack_move(*move) for move in moves)

        def block_of(boxes: Sequence[Box]) -> Block:
            return self._block(head + self._pictures.pack(boxes))

        block, photos = self.policy.encode_boxes(changed, block_of, now)
        return Step(self.generation + 1, version, 0, tiles, block, photos)

    def _apply(
        self,
        step: Step | None,
        base: npt.NDArray[np.uint8],
        moves: list[MovedRect],
        tiles: npt.NDArray[np.intp],
        rects: list[Rect],
        dirty: npt.NDArray[np.intp],
        version: int,
        now: float,
    ) -> Step | None:
        """Update the shadow by a step: see `_encode`; *dirty* are all dirty tiles."""
        step = self.policy.record(step, moves, now)
        moved = (self._grid.tiles_in(to) for to, _, _ in moves)
        touched = np.unique(np.concatenate([tiles, *moved])) if moves else tiles
        self._pictures.update_shadow(base, rects)
        self._dirty.remove(tiles, version)
        self.version = version
        # Usually all of them: a set operation of NumPy would take longer than the rest.
        is_all = len(tiles) == len(dirty)
        left = dirty[:0] if is_all else np.setdiff1d(dirty, tiles, assume_unique=True)
        self.complete_version = self._dirty.oldest_copy(left) if len(left) else version
        if step is None:
            return None
        return self._publish(step._replace(complete_version=self.complete_version, tiles=touched))

    def _publish(self, step: Step) -> Step:
        """Make a step the next generation, for every viewer that has caught up."""
        self.generation = step.generation
        self.changed_at[step.tiles] = step.generation
        self._log.append(step)
        return step

    # ---- whole tiles ----

    def _make_exact(self, now: float, max_bytes: int) -> Step | None:
        """Send rough tiles at rest exactly."""
        if not self.is_lossy or not self._follow_mode():
            return None
        version = self._consumer.reader.version
        dirty = self._dirty.find(now)
        rest = self.policy.begin_exact(now)
        rest = rest[~dirty[rest]]
        if not len(rest):
            return None
        # Clean tiles are as they are at this version, and no viewer knows of a later one.
        self.version = version
        self.complete_version = self.complete_version if dirty.any() else version
        step = self.policy.make_exact(
            rest, max_bytes, lambda tiles: self._fitting(tiles, max_bytes)
        )
        return self._publish(step._replace(generation=self.generation + 1))

    def _fitting(self, tiles: npt.NDArray[np.intp], max_bytes: int) -> Step:
        count = min(len(tiles), MAX_TILES)
        while True:
            step = self._whole_tiles(tiles[:count])
            if step.length <= max_bytes or count == 1:
                return step
            count = max(1, count * max_bytes // (step.length + max_bytes // 4))

    def _whole_tiles(self, tiles: npt.NDArray[np.intp]) -> Step:
        def block_of(exact: npt.NDArray[np.intp]) -> Block:
            rects = self._grid.rects(exact) if len(exact) else []
            return self._block(self._pictures.pack_shadow(rects))

        block, photos, exact = self.policy.encode_tiles(tiles, block_of)
        return Step(
            self.generation, self.version, self.complete_version, tiles, block, photos, exact
        )

    def _block(self, packed: bytes) -> Block:
        if len(packed) > MAX_BLOCK:
            return Block(len(packed), packed)  # too long: the caller takes fewer tiles
        return Block(len(packed), codecs.compress(packed, self.codec))


class Encoders:
    """The encoders of one screen: one for each codec and policy, made for its first viewer.

    Args:
        consumer: The screen.
        source: See `Encoder`.
    """

    def __init__(self, consumer: Consumer, source: SurfaceSource | None = None) -> None:
        self._consumer, self._source = consumer, source
        self._made: dict[tuple[str, bool], Encoder] = {}

    def for_viewer(self, hello: SessionHello) -> Encoder:
        """Return the encoder for a viewer.

        The first codec of the viewer's list that is available here decides. An audience gets the
        one that all viewers can read.
        """
        known = codecs.available()
        wanted = [name for name in hello.codecs if name in known]
        codec = known[0] if hello.audience or not wanted else wanted[0]
        accepts_photos = hello.lossy and codecs.JPEG in hello.codecs and not hello.audience
        lossy = accepts_photos and jpeg.is_available()
        if (codec, lossy) not in self._made:
            policy = PhotoPolicy() if lossy else None
            self._made[codec, lossy] = Encoder(self._consumer, codec, policy, self._source)
        return self._made[codec, lossy]
