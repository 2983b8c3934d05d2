"""Text read from a screen: lines and words with their places, and a search in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..errors import UsageError
from ..surface.geometry import Rect, bounding

#: Characters that recognition confuses in guests' fonts; each folds to the last of its group.
_ALIKE = ("I|1l", "O0", "\u2018\u2019`'", '\u201c\u201d"', "\u2014\u2013-")
_FOLD = str.maketrans({other: same[-1] for same in _ALIKE for other in same[:-1]})

#: Words further apart than this many heights are two phrases.
_GAP = 1.5


class Word(NamedTuple):
    """A word.

    Attributes:
        text: Its characters, none of them a space.
        rect: Its place on the screen, pixels.
        start: Its index in the line's text.
        confidence: 1.0 is certain; less for recognised text.
    """

    text: str
    rect: Rect
    start: int
    confidence: float = 1.0


class Line(NamedTuple):
    """A line of text.

    Attributes:
        text: The words, with the spaces between them.
        rect: Its place on the screen, pixels.
        words: Its words, from the left.
    """

    text: str
    rect: Rect
    words: tuple[Word, ...]

    @property
    def phrases(self) -> list[Phrase]:
        """The parts of the line that wide gaps divide; words of marks alone are left out."""
        groups: list[list[Word]] = []
        for word in self.words:
            if not any(c.isalnum() for c in word.text):
                continue
            wide = _GAP * max(word.rect.height, self.rect.height // 2)
            if groups and word.rect.x - groups[-1][-1].rect.right <= wide:
                groups[-1].append(word)
            else:
                groups.append([word])
        return [Phrase(tuple(group)) for group in groups]


class Phrase(NamedTuple):
    """Words of a line that stand together, such as the text of a button.

    Attributes:
        words: The words, from the left; at least one.
    """

    words: tuple[Word, ...]

    @property
    def rect(self) -> Rect:
        """Its place on the screen, pixels."""
        return bounding(word.rect for word in self.words)

    @property
    def text(self) -> str:
        """The words, with one space between two."""
        return " ".join(word.text for word in self.words)

    @property
    def confidence(self) -> float:
        """The confidence of the word that is the least certain."""
        return min(word.confidence for word in self.words)


class TextMatch(NamedTuple):
    """A text that was found.

    Attributes:
        text: As it was read.
        rect: Its place on the screen, pixels.
        groups: The groups of a regular expression.
    """

    text: str
    rect: Rect
    groups: tuple[str | None, ...] = ()


class Text(NamedTuple):
    """Text read from a screen.

    Attributes:
        lines: From the top; of lines at the same height the left one first.
        reader: ``glyphs``, which is exact, or ``tesseract``, which makes mistakes.
    """

    lines: tuple[Line, ...]
    reader: str

    def __str__(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def find(self, wanted: str | re.Pattern[str]) -> TextMatch | None:
        """Return the first match of a text.

        Args:
            wanted: A text, in which any run of spaces matches any run of spaces and line ends. In
                recognised text, characters that are often confused (I, l, 1 and a bar; O and 0)
                match each other. Or a compiled regular expression, which is used as it is.

        Raises:
            UsageError: *wanted* is empty.
        """
        return next(self._matches(wanted), None)

    def find_all(self, wanted: str | re.Pattern[str]) -> list[TextMatch]:
        """Return every match of a text that has a place, from the top. Arguments as of `find`."""
        return [match for match in self._matches(wanted) if match.rect.area]

    def _matches(self, wanted: str | re.Pattern[str]) -> Iterator[TextMatch]:
        whole = str(self)
        if isinstance(wanted, re.Pattern):
            found = wanted.finditer(whole)
        elif self.reader == "glyphs":
            found = pattern_of(wanted).finditer(whole)
        else:
            found = pattern_of(wanted.translate(_FOLD)).finditer(whole.translate(_FOLD))
        for match in found:
            start, end = match.span()
            groups = match.groups() if isinstance(wanted, re.Pattern) else ()
            yield TextMatch(whole[start:end], self._place(start, end), groups)

    def _place(self, start: int, end: int) -> Rect:
        """Return the bounding rectangle of characters, counted as in ``str(self)``."""
        parts, at = [], 0
        for line in self.lines:
            for word in line.words:
                first = max(start - at - word.start, 0)
                last = min(end - at - word.start, len(word.text))
                if first < last:
                    parts.append(_part(word, first, last))
            at += len(line.text) + 1
        return bounding(parts) if parts else Rect(0, 0, 0, 0)


def pattern_of(wanted: str) -> re.Pattern[str]:
    """Return an expression for a text with any spaces between its words.

    Raises:
        UsageError: It is empty.
    """
    words = wanted.split()
    if not words:
        raise UsageError("the text to find is empty; give at least one character")
    return re.compile(r"\s+".join(map(re.escape, words)))


def line_of_cells(characters: str, place: Rect) -> Line:
    """Return a line from a row of equally wide cells that fill *place*; it must not be blank."""
    width = place.width // len(characters)
    begin, end = len(characters) - len(characters.lstrip()), len(characters.rstrip())
    words = tuple(
        Word(
            match[0],
            Rect(place.x + match.start() * width, place.y, len(match[0]) * width, place.height),
            match.start() - begin,
        )
        for match in re.finditer(r"\S+", characters)
    )
    rect = Rect(place.x + begin * width, place.y, (end - begin) * width, place.height)
    return Line(characters[begin:end], rect, words)


def line_of_words(words: Sequence[tuple[str, Rect, float]]) -> Line:
    """Return a line from at least one word, from the left, with one space between two."""
    made, at = [], 0
    for text, rect, confidence in words:
        made.append(Word(text, rect, at, confidence))
        at += len(text) + 1
    return Line(" ".join(w.text for w in made), bounding(w.rect for w in made), tuple(made))


def _part(word: Word, first: int, last: int) -> Rect:
    """Return the place of some characters of a word, assuming equal widths."""
    x, y, width, height = word.rect
    left = x + width * first // len(word.text)
    return Rect(left, y, x + width * last // len(word.text) - left, height)
