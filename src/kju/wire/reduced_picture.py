"""A smaller picture of a screen, for viewers that show it small, such as the tiles of a wall.

It is a surface in this process's memory with encoders of its own, so for a session it is a screen
like any other. To make a picture smaller takes less time than to encode it: both ends compare,
send and draw a fraction of the pixels.
"""

from __future__ import annotations

from ..errors import InconsistentError, UnavailableError
from ..surface import surface_size
from ..surface.consumer import Consumer
from ..surface.producer import Producer
from ..surface.thumbnail import Thumbnail, copy_thumbnail
from .encoder import Encoders, SurfaceSource

#: The sides that pictures have. Viewers choose any size; those of similar sizes share a picture.
SIDES = (160, 240, 320, 480, 640, 960)
#: Attempts to copy the screen, during each of which its mode changed.
_TRIES = 4


def reduced_side(max_side: int) -> int:
    """Return the side of the picture for a viewer that needs this many pixels; 0: the screen."""
    return next((side for side in SIDES if side >= max_side), 0) if max_side else 0


class ReducedPicture(SurfaceSource):
    """A smaller picture of a screen. It changes in `update` only.

    Args:
        screen: The screen.
        side: The most pixels of the longer side.

    Attributes:
        consumer: The surface of the picture; it has no cursor.
        encoders: The encoders of the picture.
    """

    def __init__(self, screen: Consumer, side: int) -> None:
        self._screen, self._side = screen, side
        capacity = side * side * 4
        memory = bytearray(surface_size(capacity))
        self._producer = Producer.format(memory, capacity, incarnation=screen.incarnation)
        self.consumer = Consumer(memory)
        self.encoders = Encoders(self.consumer, self)
        self._last: Thumbnail | None = None
        self._state = self.consumer.state

    def screen_size(self) -> tuple[int, int]:
        """Return the size of the screen at the last update, pixels; 0, 0 without a picture."""
        return self._last.mode[:2] if self._last else (0, 0)

    def update(self, pixels: bool) -> None:
        """Take the state of the screen, and its changes since the last update."""
        if (state := self._screen.state) != self._state:
            self._state = state
            self._producer.set_state(*state)
        if not pixels:
            return
        try:
            taken = copy_thumbnail(self._screen, self._side, self._side, self._last, _TRIES)
        except (UnavailableError, InconsistentError):
            return  # nothing was drawn yet; or the next update succeeds
        if taken is self._last:
            return
        is_same_mode = self._last is not None and self._last.mode == taken.mode
        self._last = taken
        if is_same_mode:
            self._producer.compare(taken.pixels.reshape(-1))
        else:
            height, width = taken.pixels.shape[:2]
            self._producer.set_mode(
                width, height, fourcc=taken.mode.fourcc, source=taken.pixels.reshape(-1)
            )
