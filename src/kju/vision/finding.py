"""Every place of a text or an image on the screen, for locators."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from ..errors import MissingError
from ..escaping import one_line
from ..surface.geometry import Rect
from .areas import rect_text
from .looking import Seen
from .match import Finder, Match
from .needle import Needle, check_similarity, needles_of
from .text import Line, Phrase, Text, pattern_of
from .timeout import Best

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

OneNeedle: TypeAlias = "Needle | str | os.PathLike[str] | Pixels"

# A line less similar to the wanted text is not offered as the closest one.
_SIMILAR = 0.5
# The most characters of the screen's text in a message.
_MAX_SHOWN = 200


class Found(NamedTuple):
    """A place on the screen that a locator has found.

    Attributes:
        rect: Its rectangle, pixels of the screen.
        point: The pixel to click: its middle, the needle's click point, or a point beside it.
        text: The text as it was read; None for an image.
        score: The similarity of an image; None for a text.
    """

    rect: Rect
    point: tuple[int, int]
    text: str | None = None
    score: float | None = None


class PlaceFinder(Protocol):
    """Finds every place of one thing in frames that follow one another."""

    def find(self, seen: Seen) -> list[Found]:
        """Return the places in the region of a frame."""

    def best(self) -> Best:
        """Return the description of the last frame, for an error."""


@dataclass(frozen=True)
class TextQuery:
    """A text to find.

    Attributes:
        wanted: The text, as for `kju.vision.Text.find`.
        language: Tesseract's name of the expected language.
    """

    wanted: str | re.Pattern[str]
    language: str = "eng"

    def __post_init__(self) -> None:
        if isinstance(self.wanted, str):
            pattern_of(self.wanted)

    @property
    def words(self) -> str:
        """Its name in messages."""
        if isinstance(self.wanted, str):
            return f"the text {self.wanted!r}"
        return f"a text that matches {self.wanted.pattern!r}"

    def finder(self) -> TextFinder:
        """Return a finder for one wait."""
        return TextFinder(self)


@dataclass(frozen=True)
class ImageQuery:
    """An image to find, or one of several.

    Attributes:
        needle: As for `kju.Screen.wait_image`.
        similarity: The similarity that a place must have; None is each needle's own.
    """

    needle: OneNeedle | Sequence[OneNeedle]
    similarity: float | None = None

    def __post_init__(self) -> None:
        if self.similarity is not None:
            check_similarity(self.similarity)

    @property
    def words(self) -> str:
        """Its name in messages."""
        several = self.needle if isinstance(self.needle, list | tuple) else [self.needle]
        names = [_needle_name(each) for each in several]
        return f"the image {names[0]}" if len(names) == 1 else f"one of {', '.join(names)}"

    def finder(self) -> ImageFinder:
        """Return a finder for one wait; reads the files of the needles.

        Raises:
            NeedleError: A file is not a needle.
            OSError: A file can't be read.
            MissingError: OpenCV is not installed.
        """
        return ImageFinder(needles_of(self.needle), self.similarity)


Query: TypeAlias = TextQuery | ImageQuery


class TextFinder:
    """Finds every place of a text."""

    def __init__(self, query: TextQuery) -> None:
        self._query = query
        self._read: Text | None = None
        self._missing = ""

    def find(self, seen: Seen) -> list[Found]:
        """Return the places of the text, from the top."""
        from .ocr import read

        try:
            self._read = read(seen.pixels, seen.region, self._query.language)
        except MissingError as error:
            # A guest may show a logo before its text console, so the search goes on.
            self._read, self._missing = None, str(error)
            return []
        matches = self._read.find_all(self._query.wanted)
        return [Found(one.rect, middle(one.rect), one.text) for one in matches]

    def best(self) -> Best:
        """Return the text that was read, and the line most similar to the wanted one."""
        if self._read is None:
            return Best(self._missing or None)
        lines = self._read.lines
        phrases = [phrase for line in lines for phrase in line.phrases]
        places = tuple(phrase.rect for phrase in phrases)
        text = str(self._read)
        if not lines:
            return Best("no text on the screen", text=text)
        shown = " / ".join(line.text for line in lines)
        if len(shown) > _MAX_SHOWN:
            half = _MAX_SHOWN // 2
            shown = f"{shown[:half]} ... {shown[-half:]}"
        words = f"text on the screen ({self._read.reader}): {one_line(shown)}"
        wanted = self._query.wanted
        if isinstance(wanted, str):
            # A wide line may hold several texts; of equally similar ones the smallest is meant.
            parts: list[Phrase | Line] = [*phrases, *lines]
            ratio, near = max(
                ((_similarity(wanted, part.text), part) for part in parts),
                key=lambda pair: (pair[0], -pair[1].rect.area),
            )
            if ratio >= _SIMILAR:
                place = f"{near.rect.x},{near.rect.y}"
                words = f"most similar: {one_line(near.text)!r} at {place}; {words}"
                return Best(words, near.rect, ratio, text=text, places=places)
        return Best(words, text=text, places=places)


class ImageFinder:
    """Finds every place of needles."""

    def __init__(self, needles: Sequence[Needle], similarity: float | None) -> None:
        self._similarity = similarity
        self._finders = [Finder(needle, number) for number, needle in enumerate(needles)]
        self._best: Match | None = None

    def find(self, seen: Seen) -> list[Found]:
        """Return the places of the needles; of two that overlap only the better one."""
        matches: list[Match] = []
        self._best = None
        for finder in self._finders:
            best = finder.best_match(seen)
            if best is not None and (self._best is None or best.score > self._best.score):
                self._best = best
            matches += finder.matches(self._similarity)
        places: list[Match] = []
        for match in sorted(matches, key=lambda match: -match.score):
            if not any(_overlap(match.rect, other.rect) for other in places):
                places.append(match)
        found = [Found(match.rect, match.click, score=match.score) for match in places]
        return sorted(found, key=lambda one: (one.rect.y, one.rect.x))

    def best(self) -> Best:
        """Return the best match of all needles."""
        match = self._best
        if match is None:
            return Best("the searched area is smaller than the needle")
        wanted = match.needle.similarity if self._similarity is None else self._similarity
        words = (
            f"best match of {match.needle.name}: {rect_text(match.rect)}, {match.score:.3f} of"
            f" {wanted:g}"
        )
        return Best(words, match.rect, match.score, match.needle)


def middle(rect: Rect) -> tuple[int, int]:
    """Return the middle pixel of a rectangle."""
    return rect.x + rect.width // 2, rect.y + rect.height // 2


def _overlap(one: Rect, other: Rect) -> bool:
    """Check whether two places cover half of the smaller one together."""
    common = one.intersection(other)
    return common is not None and common.area * 2 > min(one.area, other.area)


def _similarity(wanted: str, line: str) -> float:
    """Return the similarity of a text to the most similar part of a line, 0 to 1."""
    wanted, line = wanted.casefold()[:200], line.casefold()[:400]
    common = difflib.SequenceMatcher(None, wanted, line, autojunk=False).find_longest_match()
    begin = max(common.b - common.a, 0)
    part = line[begin : begin + len(wanted)]
    return difflib.SequenceMatcher(None, wanted, part, autojunk=False).ratio()


def _needle_name(needle: Any) -> str:  # noqa: ANN401  a path, a needle or pixels
    if isinstance(needle, Needle):
        return needle.name
    if isinstance(needle, str | os.PathLike):
        return Path(needle).name
    return "needle"
