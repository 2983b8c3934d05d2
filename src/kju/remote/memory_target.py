"""The memory of one remote screen's pixels, in this process only.

A sender is not trusted: it chooses the size of its picture. So a picture has at most `MAX_PIXELS`,
and the memory of all screens together is counted.
"""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import LimitError, UnavailableError
from ..surface import State, surface_size
from ..surface.consumer import Consumer
from ..surface.formats import BYTES_PER_PIXEL
from ..surface.producer import Producer
from ..surface.thumbnail import Thumbnail, copy_thumbnail

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..surface.geometry import Rect

#: Pixels of a remote screen: 5120x2880 and a little more.
MAX_PIXELS = 1 << 24
#: Bytes of the pixels of all remote screens.
MAX_MEMORY = 512 << 20
#: Attempts to make a thumbnail, during each of which the mode changed.
_TRIES = 8
#: Bytes of pixels of a surface without a picture.
_EMPTY = 4096


class MemoryBudget:
    """The memory of remote screens; used by any thread.

    Args:
        limit: The most bytes.
        whole: The budget of which this one is a part; None for a budget of its own.

    Attributes:
        limit: The same.
        used: Bytes in use.
    """

    def __init__(self, limit: int = MAX_MEMORY, whole: MemoryBudget | None = None) -> None:
        self.limit, self._whole = limit, whole
        self._lock = threading.Lock()
        self.used = 0

    def take(self, size: int) -> None:
        """Count memory as used.

        Raises:
            LimitError: All of it is in use.
        """
        with self._lock:
            if self.used + size > self.limit:
                raise LimitError(
                    f"the pictures of remote machines need more than {self.limit >> 20} MiB:"
                    " have fewer in view",
                    "bytes", self.limit, self.used + size,
                )  # fmt: skip
            if self._whole is not None:
                self._whole.take(size)
            self.used += size

    def give_back(self, size: int) -> None:
        """Count memory as free again."""
        with self._lock:
            self.used -= size
        if self._whole is not None:
            self._whole.give_back(size)


class MemoryTarget:
    """The surface that a mirror draws on: `kju.wire.received_picture.DrawTarget`.

    The mirror's thread draws; any other thread may read, set the state, and close.

    Args:
        budget: Counts the memory.
        has_cursor: Publish the cursor too.
    """

    def __init__(self, budget: MemoryBudget, *, has_cursor: bool = False) -> None:
        self._budget = budget
        self._has_cursor = has_cursor
        # Held while the surface is replaced: the thread that draws and another one may do that.
        self._lock = threading.RLock()
        self._size = 0
        self._producer: Producer | None = None
        self._consumer: Consumer | None = None
        #: The versions of the surfaces before this one.
        self._earlier = 0

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """The pixels of the mode that was set last; none before."""
        if self._producer is None:
            return np.zeros((0, 0, 4), np.uint8)
        return self._producer.pixels

    @property
    def size(self) -> int:
        """The bytes that it has in use."""
        return self._size

    @property
    def version(self) -> int:
        """The version of the last publication."""
        return self._earlier + (self._producer.version if self._producer else 0)

    def set_mode(self, width: int, height: int, *, fourcc: int) -> int:
        """Begin a black picture of this form; return its version.

        Raises:
            LimitError: The picture is too large, or too much memory is in use.
        """
        if width * height > MAX_PIXELS:
            raise LimitError(
                f"a screen of {width}x{height} is too large for a picture here",
                "pixels", MAX_PIXELS, width * height,
            )  # fmt: skip
        needed = width * height * BYTES_PER_PIXEL[fourcc]
        with self._lock:
            producer = self._producer
            if producer is None or needed > producer.capacity:
                producer = self._grow(needed)
            return self._earlier + producer.set_mode(width, height, fourcc=fourcc)

    def _grow(self, capacity: int) -> Producer:
        size = surface_size(capacity)
        earlier = self.version
        self.close()
        self._budget.take(size)
        self._size, self._earlier = size, earlier
        memory = mmap.mmap(-1, size)
        incarnation = int.from_bytes(os.urandom(8)) | 1
        self._producer = Producer.format(memory, capacity, incarnation=incarnation)
        self._consumer = Consumer(memory)
        return self._producer

    def begin(self) -> None:
        """Announce that pixels are about to change."""
        if self._producer is not None:
            self._producer.begin()

    def publish(self, rects: Sequence[Rect], /) -> int:
        """Publish changes in these rectangles; return the version."""
        if self._producer is not None:
            self._producer.publish(rects)
        return self.version

    def set_cursor(self, argb: bytes, width: int, height: int, hot_x: int, hot_y: int, /) -> int:
        """Publish the cursor's shape, if that is wanted."""
        if self._producer is not None and self._has_cursor:
            self._producer.set_cursor(argb, width, height, hot_x, hot_y)
        return self.version

    def move_cursor(self, x: int, y: int, visible: bool, /) -> int:
        """Publish the cursor's position, if that is wanted."""
        if self._producer is not None and self._has_cursor:
            self._producer.move_cursor(x, y, visible)
        return self.version

    def set_state(self, state: State, reason: str) -> None:
        """Publish the state of the screen. A surface without a picture is made if none exists."""
        with self._lock:
            producer = self._producer or self._grow(_EMPTY)
            producer.set_state(state, reason)

    def surface_version(self, version: int) -> int:
        """Return the version of the present surface for one of this target; 0 for an older one."""
        return max(0, version - self._earlier)

    @property
    def consumer(self) -> Consumer:
        """The surface; another one when it has grown.

        Raises:
            UnavailableError: Nothing has been received yet.
        """
        if self._consumer is None:
            raise UnavailableError("nothing has been received yet")
        return self._consumer

    def thumbnail(self, size: tuple[int, int], last: Thumbnail | None) -> Thumbnail:
        """Return a thumbnail; *last* itself if nothing has changed since.

        Raises:
            UnavailableError: The picture is missing.
            InconsistentError: The mode changes all the time.
        """
        consumer = self.consumer
        if last is not None and last.mark.incarnation != consumer.incarnation:
            last = None
        return copy_thumbnail(consumer, *size, last, _TRIES)

    def close(self) -> None:
        """Free the memory."""
        with self._lock:
            self._earlier = self.version
            self._producer = self._consumer = None
            self._budget.give_back(self._size)
            self._size = 0
