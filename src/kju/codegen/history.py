"""The last frames of a screen with their times, for the moment at which a person acted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from .reading import ReadFrame

if TYPE_CHECKING:
    from ..client.consumer.frame import Frame

#: Bytes of the frames that are kept: 24 of 1280x800.
MAX_BYTES = 96 << 20
_FEWEST = 4


class TimedFrame(NamedTuple):
    """A frame, and the time at which it was taken."""

    time: float
    frame: ReadFrame


class History:
    """The last frames, oldest first."""

    def __init__(self, language: str = "eng", max_bytes: int = MAX_BYTES) -> None:
        """Begin empty.

        Args:
            language: Tesseract's name of the language to expect.
            max_bytes: Bytes of frames that are kept; at least four frames are.
        """
        self._frames: deque[TimedFrame] = deque()
        self._bytes = 0
        self._language = language
        self._max_bytes = max_bytes

    def add(self, time: float, frame: Frame) -> None:
        """Add the newest frame."""
        self._frames.append(TimedFrame(time, ReadFrame(frame, self._language)))
        self._bytes += frame.nbytes
        while self._bytes > self._max_bytes and len(self._frames) > _FEWEST:
            self._bytes -= self._frames.popleft().frame.frame.nbytes

    def at(self, time: float) -> ReadFrame | None:
        """Return the newest frame that is not younger than a time; else the oldest one."""
        found: ReadFrame | None = None
        for each in self._frames:
            if found is not None and each.time > time:
                break
            found = each.frame
        return found

    def newest(self) -> ReadFrame | None:
        """Return the newest frame; None without one."""
        return self._frames[-1].frame if self._frames else None

    def times(self) -> Iterable[float]:
        """Return the times of the frames that are kept."""
        return [each.time for each in self._frames]
