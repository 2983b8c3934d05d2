"""The steps of an encoder: what each segment changes, and the last steps for viewers behind."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from .messages import Photo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..surface.geometry import Rect

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


class Move(NamedTuple):
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
        whole: The shadow has all changes up to this version after the step; 0 while some of the
            picture was never in it.
        tiles: The numbers of the tiles that it changes.
        block: The exact pixels.
        photos: Areas that are only close to the screen's pixels.
        exact: A viewer that has taken all steps shows exactly the shadow.
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
        for step in self._steps:
            if step.generation == generation + 1:
                return step
        return None
