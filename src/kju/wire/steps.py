"""The steps of an encoder, and the two pictures that they are made from.

A step is the change that one segment makes. `Pictures` has the screen as it is and the screen as
viewers show it; `StepLog` has the last steps for viewers that are behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..surface.geometry import Rect
from . import _wire
from .messages import Photo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..surface import Mode
    from ..surface.consumer import Consumer
    from ..surface.geometry import Rect
    from ._wire import Box

#: The most moves of one segment: text that scrolls on both sides of a pointer makes two.
_MAX_MOVES = 3
#: Pixels that must have changed before a search for moves pays.
MIN_MOVING_PIXELS = 4096
#: The most rectangles of one segment besides its moves. A receiver rejects a block with more items,
#: and one that covers the picture more than `_wire.MAX_PASSES` times; moves draw each pixel once.
MAX_RECTS = _wire.MAX_ITEMS - _MAX_MOVES
#: Bytes of steps that are kept for viewers that need them later.
MAX_KEPT = 512_000
#: Bytes of a photo's fields around its data.
PHOTO_OVERHEAD = 16


class Block(NamedTuple):
    """Pixels, packed and compressed.

    Attributes:
        size: Bytes when decompressed.
        data: The compressed bytes.
    """

    size: int
    data: bytes


class MovedRect(NamedTuple):
    """A rectangle of the picture that has moved.

    Attributes:
        to: Its new place.
        x: Its old left edge.
        y: Its old top edge.
    """

    to: Rect
    x: int
    y: int


class Step(NamedTuple):
    """The change from one generation of the shadow to the next.

    Attributes:
        generation: The generation after the step.
        version: The screen's version when the pixels were copied.
        complete_version: After the step, the shadow has all changes up to this version; 0 while
            some of the picture was never copied.
        tiles: The numbers of the tiles that it changes.
        block: The exact pixels.
        photos: Areas that are only close to the screen's pixels.
        exact: A viewer that has taken all steps shows exactly the shadow.
    """

    generation: int
    version: int
    complete_version: int
    tiles: npt.NDArray[np.intp]
    block: Block
    photos: tuple[Photo, ...] = ()
    exact: bool = True

    @property
    def length(self) -> int:
        """The number of compressed bytes."""
        return len(self.block.data) + sum(len(each.data) + PHOTO_OVERHEAD for each in self.photos)


class StepLog:
    """The last steps, up to `MAX_KEPT` bytes."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()
        self._length = 0

    def append(self, step: Step) -> None:
        """Keep a step, and drop the oldest ones over the limit."""
        self._steps.append(step)
        self._length += step.length
        while self._length > MAX_KEPT and len(self._steps) > 1:
            self._length -= self._steps.popleft().length

    def after(self, generation: int) -> Step | None:
        """Return the step that follows a generation, if it is still kept."""
        # Generations follow each other, and the wanted one is nearly always the last or the next.
        if not self._steps or (back := self._steps[-1].generation - generation) <= 0:
            return None
        return self._steps[-back] if back <= len(self._steps) else None


class Pictures:
    """The pictures of one mode, ``(height, width, bytes of a pixel)`` each.

    Attributes:
        shadow: The picture of a viewer that has taken every step exactly.
        current: Pixels copied from the screen, where they were copied.
        form: Width, height, row step and bytes of a pixel, as `_wire` takes them.
    """

    def __init__(self, mode: Mode, pixel: int) -> None:
        self._mode = mode
        self.shadow = np.zeros((mode.height, mode.width, pixel), np.uint8)
        self.current = np.zeros_like(self.shadow)
        self.form = mode.width, mode.height, mode.width * pixel, pixel

    def copy(self, consumer: Consumer, rects: list[Rect]) -> None:
        """Copy the screen's pixels."""
        screen = consumer.view(self._mode)
        if screen.ndim == 2:
            screen = screen[..., None]
        for x, y, width, height in rects:
            self.current[y : y + height, x : x + width] = screen[y : y + height, x : x + width]

    def find_moves(self, rect: Rect) -> tuple[npt.NDArray[np.uint8], list[MovedRect]]:
        """Search a rectangle of `current` for moved parts of the shadow.

        Returns:
            The shadow with the moves made, and the moves.
        """
        base, moves = self.shadow, list[MovedRect]()
        while found := _wire.find_move(base, self.current, self.form, rect):
            if not moves:
                base = base.copy()
            moves.append(MovedRect(Rect(*found[0]), *found[1:]))
            _wire.move(base, self.form, *moves[-1])
            left = _wire.trim(base, self.current, self.form, [rect])
            if len(moves) == _MAX_MOVES or sum(w * h for _, _, w, h in left) < MIN_MOVING_PIXELS:
                break
            rect = _around(left)
        return base, moves

    def changed(self, base: npt.NDArray[np.uint8], rects: list[Rect]) -> list[Box]:
        """Return the boxes in which `current` differs from a picture."""
        return _wire.trim(base, self.current, self.form, rects)

    def pack(self, rects: Sequence[Box]) -> bytes:
        """Pack rectangles of `current` as the items of a block."""
        return _wire.pack(self.current, self.form, rects)

    def pack_shadow(self, rects: list[Rect]) -> bytes:
        """Pack rectangles of the shadow as the items of a block."""
        return _wire.pack(self.shadow, self.form, rects)

    def update_shadow(self, base: npt.NDArray[np.uint8], rects: list[Rect]) -> None:
        """Replace the shadow by *base*, with these rectangles as they are in `current`."""
        self.shadow = base
        for x, y, width, height in rects:
            area = np.s_[y : y + height, x : x + width]
            self.shadow[area] = self.current[area]


def bounded(changed: list[Box], rects: list[Rect]) -> list[Box]:
    """Return *changed*, or *rects* (whole tiles) if those are fewer pixels to draw.

    Rectangles of slanting shapes overlap. Without this bound they could cover the picture many
    times, and a receiver rejects such a block.
    """
    drawn = sum(width * height for _, _, width, height in changed)
    if len(changed) <= MAX_RECTS and drawn <= sum(rect.area for rect in rects):
        return changed
    return list(rects)


def _around(boxes: list[Box]) -> Rect:
    x, y = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(box[0] + box[2] for box in boxes)
    return Rect(x, y, right - x, max(box[1] + box[3] for box in boxes) - y)
