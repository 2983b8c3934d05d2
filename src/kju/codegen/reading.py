"""Frames of the screen, each read once for locators and expectations; the last ones, by time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..agents.labels import edges
from ..errors import KjuError, MissingError
from ..surface.geometry import Rect
from ..vision.areas import cut_out, pixel_words
from ..vision.text import Phrase, Text, TextMatch, Word

if TYPE_CHECKING:
    from ..client.consumer.frame import Frame

#: Recognised text below this confidence is not used.
_CONFIDENT = 0.6
# Rows above and below a point in which boxes are looked for, and in which a text is beside it.
_ROWS, _ROW = 64, 8
# A click beside a text by so many pixels is a click on it.
_SLACK = 3
#: Bytes of the frames that are kept: 24 of 1280x800; and the least number of frames.
MAX_BYTES = 96 << 20
_FEWEST = 4


class ReadFrame:
    """One frame of the screen, and the text on it.

    Attributes:
        frame: The whole frame, B G R X or one byte a pixel.
        missing: The reason why its text was not read; empty if it was.
    """

    def __init__(self, frame: Frame, language: str = "eng") -> None:
        """Keep a frame; it is read when its text is asked for.

        Args:
            frame: The frame.
            language: Tesseract's name of the language to expect.
        """
        self.frame = frame
        self.missing = ""
        self._language = language

    @property
    def whole(self) -> Rect:
        """The rectangle of the screen."""
        return Rect(0, 0, self.frame.shape[1], self.frame.shape[0])

    @cached_property
    def text(self) -> Text:
        """The text; without lines if it can't be read here."""
        from ..vision.ocr import read

        try:
            return read(self.frame, self.whole, self._language)
        except KjuError as error:
            self.missing = str(error)
        return Text((), "")

    @property
    def is_exact(self) -> bool:
        """True for a text console, whose text is read without mistakes."""
        return self.text.reader == "glyphs"

    def find(self, words: str) -> list[TextMatch]:
        """Return the places of a text."""
        return self.text.find_all(words)

    def word_at(self, point: tuple[int, int]) -> Word | None:
        """Return the word at a point; None without one."""
        x, y = point
        around = Rect(x - _SLACK, y - _SLACK, 2 * _SLACK + 1, 2 * _SLACK + 1)
        words = [word for word in self._words if has_letters(word)]
        hit = [word for word in words if word.rect.intersection(around)]
        return min(hit, key=lambda word: word.rect.area, default=None)

    def word_in(self, box: Rect) -> Word | None:
        """Return the surest word in a box, such as a button; None without one."""
        inside = [word for word in self._words if box.contains(word.rect) and has_letters(word)]
        return max(inside, key=lambda word: word.confidence, default=None)

    @property
    def _words(self) -> Iterator[Word]:
        return (word for line in self.text.lines for word in line.words)

    def phrases(self, y: int | None = None) -> list[Phrase]:
        """Return the phrases of the screen, or of those at the height of a row."""
        found = [phrase for line in self.text.lines for phrase in line.phrases]
        if y is None:
            return found
        return [phrase for phrase in found if phrase.rect.y - _ROW <= y < phrase.rect.bottom + _ROW]

    def phrase_of(self, word: Word) -> Phrase:
        """Return the phrase of a word, without words at another height, which are noise."""
        for phrase in self.phrases():
            if word in phrase.words:
                same = [other for other in phrase.words if _is_level(other.rect, word.rect)]
                return Phrase(tuple(same))
        return Phrase((word,))

    def box_at(self, point: tuple[int, int]) -> Rect | None:
        """Return the smallest button, field or icon around a point; None without one."""
        whole, (x, y) = self.whole, point
        top, bottom = max(y - _ROWS, 0), min(y + _ROWS, whole.height)
        if self.is_exact:
            return None
        try:
            found = list(edges(self.frame, Rect(0, top, whole.width, bottom - top)))
        except MissingError as error:
            self.missing = self.missing or str(error)
            return None
        pixel = Rect(x, y, 1, 1)
        around = [box for box in found if box.contains(pixel) and not self._is_letter(box)]
        return min(around, key=lambda box: box.area, default=None)

    def _is_letter(self, box: Rect) -> bool:
        wide = Rect(box.x + _SLACK, box.y + _SLACK, box.width - 2 * _SLACK, box.height - 2 * _SLACK)
        words = [word for word in self._words if has_letters(word)]
        return wide.area <= 0 or any(word.rect.contains(wide) for word in words)

    def differs(self, other: ReadFrame, rect: Rect | None = None) -> float:
        """Return the share of the pixels that differ in two frames, 0 to 1."""
        one, two = self.frame, other.frame
        if one.shape != two.shape:
            return 1.0
        where = self.whole if rect is None else rect.intersection(self.whole) or self.whole
        unequal = pixel_words(cut_out(one, where)) != pixel_words(cut_out(two, where))
        return float(np.mean(unequal))


def has_letters(word: Word | Phrase) -> bool:
    """Check that a word names something, and was read with confidence."""
    return sum(c.isalnum() for c in word.text) >= 2 and word.confidence >= _CONFIDENT


def _is_level(one: Rect, other: Rect) -> bool:
    """Check that two words stand on one line."""
    middle = one.y + one.height // 2
    return other.y <= middle < other.bottom


class _TimedFrame(NamedTuple):
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
        self._frames: deque[_TimedFrame] = deque()
        self._bytes = 0
        self._language = language
        self._max_bytes = max_bytes

    def add(self, time: float, frame: Frame) -> None:
        """Add the newest frame."""
        self._frames.append(_TimedFrame(time, ReadFrame(frame, self._language)))
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
