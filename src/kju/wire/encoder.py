"""What has changed on a screen, as segments: each is made once, for all viewers that stand alike.

Rules:

- The encoder keeps one picture, `shadow`: what a viewer shows that has taken every segment. It is
  the memory of the screen's pixels that all viewers share.
- A segment is what the shadow becomes by it. The generation counts them; a viewer in step, at the
  generation before, can use it.
- A viewer that is not in step gets whole tiles out of the shadow, until it is: `repair`.
- The version and the tiles are read before the pixels, and only that version is taken: what is
  drawn meanwhile is newer and comes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..surface import Mode
from ..surface.formats import BYTES_PER_PIXEL
from ..surface.geometry import Rect
from . import _wire, blocks
from .messages import MAX_BLOCK, MAX_MESSAGE, Codec, Photo

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface.consumer import Consumer
    from ._wire import Box

#: Bytes of a segment's data; the rest of a message is for what stands around them.
MAX_DATA = MAX_MESSAGE - 200
#: Side of a tile, where the screen's are larger: one must fit into a segment whatever it shows.
MOST_SIDE = 64
#: Tiles of one segment. More compress better together, and are older when they arrive.
MOST_TILES = 256
#: Seconds by which what is looked at is ahead of all that waits.
FIRST = 1e9
#: Bytes of segments that are kept for viewers which come to them later.
KEPT = 512_000
#: Moves of one segment: a text that scrolls on both sides of a pointer is two.
MOST_MOVES = 3
#: Rectangles of one segment besides. A viewer refuses a block with more items, and one that covers
#: the picture more than `_wire.MAX_PASSES` times: with the moves, each pixel is drawn once.
MOST_ITEMS = _wire.MAX_ITEMS - MOST_MOVES
#: Pixels that must have changed before it is worth looking whether something has moved.
WORTH_MOVING = 4096
#: Bytes that a photo has around its data.
AROUND_PHOTO = 16


class Block(NamedTuple):
    """Pixels, packed and compressed.

    Attributes:
        size: Bytes before that.
        data: Compressed.
    """

    size: int
    data: bytes


class Move(NamedTuple):
    """A rectangle of the picture that stood elsewhere.

    Attributes:
        to: Where it is.
        x: Where it was.
        y: The same.
    """

    to: Rect
    x: int
    y: int


class Step(NamedTuple):
    """From one generation to the next.

    Attributes:
        generation: That it leads to.
        version: The screen's, when the pixels were taken.
        whole: Up to this version the shadow has everything then; 0 where it never had some.
        tiles: Numbers of the tiles that it touches.
        block: The pixels.
        photos: Others, which are only near what the screen shows.
        exact: Whether the shadow is then what a viewer shows, and not only near it.
    """

    generation: int
    version: int
    whole: int
    tiles: npt.NDArray[np.intp]
    block: Block
    photos: tuple[Photo, ...] = ()
    exact: bool = True

    @property
    def length(self) -> int:
        """Bytes, compressed."""
        return len(self.block.data) + sum(len(each.data) + AROUND_PHOTO for each in self.photos)


class Encoder:
    """One screen, for all its viewers.

    Args:
        consumer: The screen. Its buffer stays there as long as this is used.
        codec: What the segments are compressed with.
    """

    #: Whether it makes steps that are not exact.
    lossy = False

    def __init__(self, consumer: Consumer, codec: Codec = "zstd") -> None:
        self._consumer = consumer
        self.codec = codec
        self.mode = Mode(0, 0, 0, 0, 0)
        #: The generation at which the mode began: the picture was black then.
        self.born = 0
        self.generation = 0
        #: The screen's version when something was taken last.
        self.version = 0
        #: Up to this version of the screen the shadow has everything; 0 where it never had some.
        self.whole = 0
        #: The version at which nothing more had moved.
        self._sought = 0
        #: Bytes of a tile in the last step.
        self._each = 1.0
        #: The generation at which each tile has changed last.
        self.stamps = np.zeros(0, np.int64)
        self._taken = np.zeros(0, np.uint64)
        self._since = np.zeros(0, np.float64)
        self._shadow = np.zeros((0, 0, 0), np.uint8)
        self._now = self._shadow
        self._steps: deque[Step] = deque()
        self._kept = 0

    @property
    def incarnation(self) -> int:
        """The screen's."""
        return self._consumer.incarnation

    @property
    def tile_side(self) -> int:
        """Pixels."""
        return min(self._consumer.tile_side, MOST_SIDE)

    @property
    def shadow(self) -> npt.NDArray[np.uint8]:
        """What a viewer in step shows: ``(height, width, pixel)``."""
        return self._shadow

    @property
    def exact(self) -> bool:
        """Whether a viewer in step shows the shadow, and not only something near it."""
        return True

    @property
    def nothing(self) -> Block:
        """A block that changes nothing."""
        return self._block(b"")

    def step_after(self, generation: int) -> Step | None:
        """The step that a viewer at this generation takes next, where it is kept."""
        for step in self._steps:
            if step.generation == generation + 1:
                return step
        return None

    def look(self, now: float) -> bool:
        """Look at the screen; return whether anything is not in the shadow.

        Raises:
            FormatError: What the memory says cannot be.
        """
        return self._follow_mode() and bool(self._dirty(now).any())

    def advance(self, now: float, focus: Rect | None = None, most: int = MAX_DATA) -> Step | None:
        """Take some of what has changed into the shadow.

        Args:
            now: Seconds.
            focus: Around what somebody looks at: this goes first, then what has waited longest.
            most: Bytes that the segment should have at most; a single tile may have more.

        Returns:
            None where nothing has changed.
        """
        while self._follow_mode():
            version = self._consumer.reader.version
            dirty = np.flatnonzero(self._dirty(now))
            if not len(dirty):
                break
            base, moves = self._shadow, list[Move]()
            if version != self._sought:
                base, moves = self._move(dirty)
                dirty = self._join_unlike(base, moves, dirty, now)
            self._sought = 0 if moves else version
            chosen = self._choose(dirty, focus, most)
            while True:
                step = self._encode(base, moves, chosen, version)
                if step is None or step.length <= most or len(chosen) == 1:
                    break
                over = step.length + most // 4
                chosen = chosen[: max(1, len(chosen) * most // over)]
            if step is not None:
                self._each = max(1.0, step.length / len(chosen))
            # What was drawn as it had been before makes no step.
            if taken := self._take(step, base, moves, chosen, dirty, version):
                return taken
        return None

    def repair(
        self,
        tiles: npt.NDArray[np.intp],
        most: int = MAX_DATA,
        new: npt.NDArray[np.bool_] | None = None,
    ) -> Step:
        """Whole tiles of the shadow, as many of the first ones as fit: to this generation.

        Args:
            tiles: Their numbers.
            most: Bytes that the segment should have at most; a single tile may have more.
            new: Whether the viewer has never had any of each.
        """
        return self._fitting(tiles, most)

    def _fitting(self, tiles: npt.NDArray[np.intp], most: int) -> Step:
        count = min(len(tiles), MOST_TILES)
        while True:
            step = self._whole_tiles(tiles[:count])
            if step.length <= most or count == 1:
                return step
            count = max(1, count * most // (step.length + most // 4))

    # ---- the screen ----

    @property
    def _form(self) -> tuple[int, int, int, int]:
        height, width, pixel = self._shadow.shape
        return width, height, width * pixel, pixel

    def _follow_mode(self) -> bool:
        mode = self._consumer.mode
        if mode != self.mode:
            self._begin(mode)
        return bool(mode.epoch)

    def _begin(self, mode: Mode) -> None:
        self.mode = mode
        pixel = BYTES_PER_PIXEL[mode.fourcc]
        self._shadow = np.zeros((mode.height, mode.width, pixel), np.uint8)
        self._now = np.zeros_like(self._shadow)
        side = self.tile_side
        tiles = -(-mode.width // side) * -(-mode.height // side)
        self.generation += 1
        self.born = self.generation
        self.whole = 0
        self.stamps = np.full(tiles, self.generation, np.int64)
        self._taken = np.zeros(tiles, np.uint64)
        self._since = np.full(tiles, np.inf)
        self._steps.clear()
        self._kept = 0

    def _dirty(self, now: float) -> npt.NDArray[np.bool_]:
        table = self._consumer.tile_versions()
        times = self._consumer.tile_side // self.tile_side
        if times > 1:
            columns = self._columns
            table = table.repeat(times, 0).repeat(times, 1)[: len(self._taken) // columns, :columns]
        table = table.ravel()
        if len(table) != len(self._taken):
            return np.zeros(len(self._taken), np.bool_)  # another mode: the next look follows it
        dirty = table > self._taken
        self._since[dirty & np.isinf(self._since)] = now
        return dirty

    @property
    def _columns(self) -> int:
        return -(-self.mode.width // self.tile_side)

    def _rects(self, tiles: npt.NDArray[np.intp]) -> list[Rect]:
        """Rectangles of tiles: runs within a row, and rows that are alike below each other."""
        side, columns, mode = self.tile_side, self._columns, self.mode
        tiles = np.sort(tiles)
        breaks = np.flatnonzero((np.diff(tiles) != 1) | (tiles[1:] % columns == 0)) + 1
        rects: list[Rect] = []
        for run in np.split(tiles, breaks):
            row, column = divmod(int(run[0]), columns)
            x, y = column * side, row * side
            width = min(len(run) * side, mode.width - x)
            height = min(side, mode.height - y)
            last = rects[-1] if rects else None
            if last and (last.x, last.width, last.bottom) == (x, width, y):
                rects[-1] = Rect(x, last.y, width, last.height + height)
            else:
                rects.append(Rect(x, y, width, height))
        return rects

    def _copy(self, rects: list[Rect]) -> None:
        """The screen's pixels into `_now`."""
        seen = self._consumer.view(self.mode)
        if seen.ndim == 2:
            seen = seen[..., None]
        for x, y, width, height in rects:
            self._now[y : y + height, x : x + width] = seen[y : y + height, x : x + width]

    # ---- segments ----

    def _move(self, dirty: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.uint8], list[Move]]:
        """What has moved, and the shadow with that where it is now.

        Around what has moved all of the screen is in `_now`.
        """
        base, moves = self._shadow, list[Move]()
        side, columns = self.tile_side, self._columns
        if len(dirty) * side * side < WORTH_MOVING:
            return base, moves
        rows, across = np.divmod(dirty, columns)
        x, y = int(across.min()) * side, int(rows.min()) * side
        right = min((int(across.max()) + 1) * side, self.mode.width)
        bottom = min((int(rows.max()) + 1) * side, self.mode.height)
        rect = Rect(x, y, right - x, bottom - y)
        self._copy([rect])
        while found := _wire.find_move(base, self._now, self._form, rect):
            if not moves:
                base = base.copy()
            moves.append(Move(Rect(*found[0]), *found[1:]))
            _wire.move(base, self._form, *moves[-1])
            left = _wire.trim(base, self._now, self._form, [rect])
            if len(moves) == MOST_MOVES or sum(w * h for _, _, w, h in left) < WORTH_MOVING:
                break
            rect = _around(left)
        return base, moves

    def _join_unlike(
        self,
        base: npt.NDArray[np.uint8],
        moves: list[Move],
        dirty: npt.NDArray[np.intp],
        now: float,
    ) -> npt.NDArray[np.intp]:
        """Also the tiles that what has moved shows wrong: a move need not be exact."""
        rects = [move.to for move in moves]
        wrong = [Rect(*each) for each in _wire.trim(base, self._now, self._form, rects)]
        if not wrong:
            return dirty
        tiles = np.unique(np.concatenate([self._tiles_of(each) for each in wrong]))
        more = np.setdiff1d(tiles, dirty, assume_unique=True)
        self._taken[more] = 0
        self._since[more] = now
        return np.union1d(dirty, more)

    def _choose(
        self, dirty: npt.NDArray[np.intp], focus: Rect | None, most: int
    ) -> npt.NDArray[np.intp]:
        """As many tiles as one segment may have, those first that should be."""
        # As many as fit if they are like the last ones: what does not fit is encoded twice.
        fit = min(MOST_TILES, max(1, int(0.9 * most / self._each)))
        if len(dirty) <= fit:
            return dirty
        order = self._since[dirty]
        if focus is not None:
            side = self.tile_side
            rows, columns = np.divmod(dirty, self._columns)
            near = (
                (columns * side < focus.right)
                & ((columns + 1) * side > focus.x)
                & (rows * side < focus.bottom)
                & ((rows + 1) * side > focus.y)
            )
            across = (columns + 0.5) * side - focus.x - focus.width / 2
            down = (rows + 0.5) * side - focus.y - focus.height / 2
            away = np.maximum(np.abs(across), np.abs(down))
            order = np.where(near, away - FIRST, order)
        return dirty[np.argsort(order, kind="stable")[:fit]]

    def _encode(
        self,
        base: npt.NDArray[np.uint8],
        moves: list[Move],
        tiles: npt.NDArray[np.intp],
        version: int,
    ) -> Step | None:
        """What makes the base as the screen is, within these tiles; None where it is.

        The base is the shadow, with what has moved where it is now.
        """
        rects = self._rects(tiles)
        if not moves:
            self._copy(rects)
        changed = self._bounded(_wire.trim(base, self._now, self._form, rects), rects)
        if not changed and not moves:
            return None
        head = b"".join(_wire.pack_move(*move) for move in moves)
        return self._step(head, changed, tiles, version)

    def _step(
        self, head: bytes, changed: list[Box], tiles: npt.NDArray[np.intp], version: int
    ) -> Step:
        """The moves, and then these rectangles of `_now`."""
        block = self._block(head + _wire.pack(self._now, self._form, changed))
        return Step(self.generation + 1, version, 0, tiles, block)

    def _bounded(self, changed: Sequence[Box], rects: list[Rect]) -> list[Box]:
        """Return the rectangles that changed, or the tiles' own if those are less work to draw.

        Rectangles of slanting shapes overlap: without this they could cover the picture many times,
        and a viewer refuses that.
        """
        drawn = sum(width * height for _, _, width, height in changed)
        if len(changed) <= MOST_ITEMS and drawn <= sum(rect.area for rect in rects):
            return list(changed)
        return list(rects)

    def _whole_tiles(self, tiles: npt.NDArray[np.intp]) -> Step:
        """These tiles of the shadow."""
        block = self._block(_wire.pack(self._shadow, self._form, self._rects(tiles)))
        return Step(self.generation, self.version, self.whole, tiles, block)

    def _block(self, packed: bytes) -> Block:
        if len(packed) > MAX_BLOCK:
            return Block(len(packed), packed)  # too long: the caller takes fewer tiles
        return Block(len(packed), blocks.compress(packed, self.codec))

    def _take(
        self,
        step: Step | None,
        base: npt.NDArray[np.uint8],
        moves: list[Move],
        tiles: npt.NDArray[np.intp],
        dirty: npt.NDArray[np.intp],
        version: int,
    ) -> Step | None:
        """The shadow becomes what the step makes of it."""
        touched = np.unique(np.concatenate([tiles, *(self._tiles_of(to) for to, _, _ in moves)]))
        self._shadow = base
        for x, y, width, height in self._rects(tiles):
            here = np.s_[y : y + height, x : x + width]
            self._shadow[here] = self._now[here]
        self._taken[tiles] = version
        self._since[tiles] = np.inf
        self.version = version
        left = np.setdiff1d(dirty, tiles, assume_unique=True)
        self.whole = int(self._taken[left].min()) if len(left) else version
        if step is None:
            return None
        return self._keep(step._replace(whole=self.whole, tiles=touched))

    def _keep(self, step: Step) -> Step:
        """The next generation, for every viewer in step."""
        self.generation = step.generation
        self.stamps[step.tiles] = step.generation
        self._steps.append(step)
        self._kept += step.length
        while self._kept > KEPT and len(self._steps) > 1:
            self._kept -= self._steps.popleft().length
        return step

    def _tiles_of(self, rect: Rect) -> npt.NDArray[np.intp]:
        side = self.tile_side
        rows = np.arange(rect.y // side, (rect.bottom - 1) // side + 1)
        columns = np.arange(rect.x // side, (rect.right - 1) // side + 1)
        return (rows[:, None] * self._columns + columns).ravel()


def _around(boxes: list[tuple[int, int, int, int]]) -> Rect:
    """The rectangle that holds all of these."""
    x, y = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(box[0] + box[2] for box in boxes)
    return Rect(x, y, right - x, max(box[1] + box[3] for box in boxes) - y)
