"""A bounded sequence of pictures of a screen, with times. I/O-free.

Rules:

- Neighbouring pictures differ. A blinking text cursor does not make a new picture.
- Above the limits, the picture whose neighbours are nearest in time is dropped, so that the rest
  is spread over the whole time. The first and the last picture stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import encoding
from ..vision.areas import bounds_of, pixel_words

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

#: Pictures: two a second for four minutes, or the busy seconds of an hour's test.
MOST = 480
#: Bytes. Screens of Debian's installer (1280x800) take 28 to 122 KB each, a game in VGA text 5 KB,
#: and photographs 2 MB.
MOST_BYTES = 24 << 20
# Size of the largest text cursor, as in `kju.vision.pixels`: a console on a 4K screen.
_BLINK_WIDTH, _BLINK_HEIGHT = 32, 64
# Half of the slowest period (0.6 s in desktops), and the delay of a record.
_BLINK_SECONDS = 1.0


class FilmPicture(NamedTuple):
    """The screen at one time.

    Attributes:
        time: Seconds since the film began.
        width: Pixels.
        height: Pixels.
        png: The picture.
        left_out: Number of dropped pictures between this one and the next.
    """

    time: float
    width: int
    height: int
    png: bytes
    left_out: int = 0


class Film:
    """Pictures of one screen, oldest first.

    Attributes:
        pictures: The pictures that are kept.
        bytes: Their size.
    """

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        """Begin empty.

        Args:
            most: Limit of pictures, at least 2.
            most_bytes: Limit of their bytes; a single larger one is kept.
        """
        self.pictures: list[FilmPicture] = []
        self.bytes: int = 0
        self._most = max(most, 2)
        self._most_bytes = most_bytes
        self._seen: tuple[int, int] | None = None
        self._last: Pixels | None = None
        self._before: Pixels | None = None
        self._shown: Pixels | None = None
        self._new: tuple[int, int] | None = None
        self._turned = 0.0

    def show(
        self, time: float, frame: Pixels, moment: tuple[int, int], *, final: bool = False
    ) -> bool:
        """Add a frame if it is new.

        Args:
            time: Seconds; at least the last picture's time is assumed.
            frame: The whole screen: B G R X, or one byte a pixel. It is kept, and must not change.
            moment: Its incarnation and version; a frame older than the last one is left out.
            final: The last frame: it is kept even where it may be half of a blink.

        Returns:
            True for a new picture.
        """
        seen, last = self._seen, self._last
        if moment == seen and self._new == seen:
            self._correct_time(time)
        if seen is not None and seen[0] == moment[0] and moment[1] <= seen[1] and not final:
            return False
        self._seen = moment
        if final and self._shown is not None and _same(self._shown, frame):
            return False
        if (
            last is not None
            and not final
            and (_same(last, frame) or self._blinks(time, last, frame))
        ):
            return False
        self._before, self._last, self._shown, self._turned = last, frame, frame, time
        self._new = moment
        if self.pictures:
            time = max(time, self.pictures[-1].time)
        height, width = frame.shape[:2]
        self.pictures.append(FilmPicture(time, width, height, compressed(frame)))
        self.bytes += len(self.pictures[-1].png)
        self._bound()
        return True

    def _correct_time(self, time: float) -> None:
        """Correct the last picture's time: it was on the screen already at *time*."""
        *others, last = self.pictures
        first = others[-1].time if others else time
        self.pictures[-1] = last._replace(time=min(last.time, max(first, time)))

    def _blinks(self, time: float, last: Pixels, frame: Pixels) -> bool:
        """Return True where a cursor blinks: soon, the picture before the last one again."""
        before = self._before
        late = time - self._turned > _BLINK_SECONDS
        if late or before is None or not _same(before, frame) or last.shape != frame.shape:
            return False
        box = bounds_of(pixel_words(last) != pixel_words(frame))
        if box is None or box.width > _BLINK_WIDTH or box.height > _BLINK_HEIGHT:
            return False
        self._before, self._last, self._turned = last, before, time
        return True

    def _bound(self) -> None:
        pictures = self.pictures
        while len(pictures) > self._most or (self.bytes > self._most_bytes and len(pictures) > 1):
            number = self._nearest() if len(pictures) > 2 else 0
            self.bytes -= len(pictures[number].png)
            dropped = pictures.pop(number)
            if number:
                left = pictures[number - 1]
                more = left.left_out + dropped.left_out + 1
                pictures[number - 1] = left._replace(left_out=more)

    def _nearest(self) -> int:
        times = [picture.time for picture in self.pictures]
        gaps = [after - before for before, after in zip(times, times[2:], strict=False)]
        return 1 + min(range(len(gaps)), key=gaps.__getitem__)


def compressed(frame: Pixels) -> bytes:
    """Return a frame as a PNG."""
    return encoding.png(np.asarray(frame))


def _same(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and np.array_equal(pixel_words(one), pixel_words(other))
