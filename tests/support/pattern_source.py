"""A source with known pictures and known damage.

Frame *n* is a pure function of *n* and the size (`picture`), so that a consumer can check every
pixel. Only the box and the counter change between two frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kju.sources.base import OnStatus
from kju.surface.geometry import Rect
from kju.surface.producer import Producer
from support.stub_source import StubSource

if TYPE_CHECKING:
    import numpy.typing as npt

#: Side of the moving box, pixels.
BOX = 48
#: Height of the counter, pixels; the box stays below it.
MARGIN = 16


class PatternSource(StubSource):
    """Draws a moving box over colour bars, and the frame's number as 32 black or white squares.

    Attributes:
        frame: Number of the frame published last.
    """

    def __init__(
        self,
        producer: Producer,
        on_status: OnStatus | None = None,
        *,
        size: tuple[int, int] = (640, 480),
    ) -> None:
        """Prepare to draw.

        Args:
            producer: The producer to fill.
            on_status: Receives every new status.
            size: Width and height, at least 64 pixels each, so that counter and box fit.
        """
        super().__init__(producer, on_status, size=size, name="pattern")
        self.frame = 0

    def retarget(self, producer: Producer) -> None:
        """Publish the current frame in another surface and continue there."""
        self.producer = producer
        source = np.ascontiguousarray(picture(self.size, self.frame))
        producer.set_mode(*self.size, source=source)
        producer.set_state(self.live_state)

    def step(self) -> None:
        """Publish the next frame."""
        self.frame += 1
        image = picture(self.size, self.frame)
        rects = _damage(self.size, self.frame)
        self.producer.begin()
        pixels = self.producer.pixels
        for x, y, width, height in rects:
            part = np.s_[y : y + height, x : x + width]
            pixels[part] = image[part]
        self.producer.publish(rects)


def picture(size: tuple[int, int], frame: int) -> npt.NDArray[np.uint8]:
    """Return the pixels of frame *frame*: ``(height, width, 4)``, B G R X, X 255."""
    width, height = size
    image = np.empty((height, width, 4), np.uint8)
    image[...] = _bars(width)
    x, y = _box(size, frame)
    image[y : y + BOX, x : x + BOX] = (frame & 255, 255 - (frame & 255), 255, 255)
    bits = np.array([frame >> bit & 1 for bit in range(32)], np.uint8) * 255
    image[:MARGIN, :64, :3] = np.repeat(bits, 2)[:, np.newaxis]
    return image


def _damage(size: tuple[int, int], frame: int) -> list[Rect]:
    """Return rectangles outside of which frame *frame* equals the one before it."""
    rects = [Rect(*_box(size, frame - 1), BOX, BOX), Rect(*_box(size, frame), BOX, BOX)]
    return [rects[0].union(rects[1]), Rect(0, 0, 64, MARGIN)]


def _bars(width: int) -> npt.NDArray[np.uint8]:
    index = np.arange(width) * 8 // width
    bars = np.full((width, 4), 255, np.uint8)
    for channel in range(3):
        bars[:, channel] = (index >> channel & 1) * 160 + 16
    return bars


def _box(size: tuple[int, int], frame: int) -> tuple[int, int]:
    """Return the place of the box, which bounces below the counter."""
    width, height = size
    return _bounce(frame * 5, width - BOX), MARGIN + _bounce(frame * 3, height - BOX - MARGIN)


def _bounce(distance: int, room: int) -> int:
    if room <= 0:
        return 0
    distance %= 2 * room
    return min(distance, 2 * room - distance)
