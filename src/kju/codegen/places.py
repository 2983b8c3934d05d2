"""A locator for the place of a click: its text, a text beside it, or an image cut around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..acting.locating import Offset, Relation, Side, Target
from ..errors import MissingError
from ..surface import NOTHING_TAKEN, Mode
from ..surface.geometry import Rect
from ..vision.areas import cut_out
from ..vision.finding import TextQuery, middle
from ..vision.looking import Seen
from ..vision.match import Finder
from ..vision.needle import Needle
from ..vision.text import Phrase
from .reading import ReadFrame, has_letters

if TYPE_CHECKING:
    from ..acting.checks import Point

# Of a longer text the word that was clicked is used: a locator clicks a text's middle.
_MAX_WORDS = 4
# The largest distance from a label to the field beside it, and width of a tick box, in pixels.
_MAX_BESIDE, _TICK_BOX = 400, 32
# Half of the sides of images, tried in this order, and the least contrast of one.
_HALVES = (12, 18, 27, 40, 60, 90)
_MIN_DEVIATION = 10.0
# The largest share of the pixels around a place that may differ from the picture it is cut from.
_MAX_CHANGED = 0.5


class ChosenPlace(NamedTuple):
    """The locator that a script uses for a place.

    Attributes:
        text: The text that it searches; None for an image.
        needle: The image that it searches; None for a text.
        narrowed: The calls that make it unambiguous, such as ``.nth(1)``.
        rect: Its place on the screen now.
        is_field: It is a point in the field beside the text.
    """

    text: str | None
    needle: Needle | None
    narrowed: str
    rect: Rect
    is_field: bool = False

    def code(self, image: str = "") -> str:
        """Return the expression of the locator.

        Args:
            image: The expression of the image's path.
        """
        what = f"image({image})" if self.text is None else f"text({quoted(self.text)})"
        return f"screen.{what}{self.narrowed}"

    def is_on(self, frame: ReadFrame) -> bool:
        """Check whether another frame shows the same at this place."""
        if self.text is not None:
            found = [match.rect for match in frame.find(self.text)]
            return any(rect.intersection(self.rect) for rect in found)
        assert self.needle is not None  # noqa: S101  one of the two is set
        if not frame.whole.contains(self.rect):
            return False
        part = cut_out(np.asarray(frame.frame), self.rect)
        return Needle.of(part).pixels.tobytes() == self.needle.pixels.tobytes()


def choose_place(point: Point, shown: ReadFrame, clear: ReadFrame) -> ChosenPlace | None:
    """Return the locator for a pixel; None where nothing on the screen tells it from others.

    Args:
        point: The pixel.
        shown: The screen when the pixel was clicked.
        clear: The screen before the pointer was near, whose cursor may cover the place.
    """
    around = Rect(point[0] - _HALVES[2], point[1] - _HALVES[2], 2 * _HALVES[2], 2 * _HALVES[2])
    stale = clear is not shown and clear.differs(shown, around) > _MAX_CHANGED
    frames = [shown] if stale or clear is shown else [clear, shown]
    for frame in frames:
        if place := _by_text(point, frame):
            return place
    return choose_image(point, frames[0])


# ---- Texts


def _by_text(point: Point, frame: ReadFrame) -> ChosenPlace | None:
    word, box = frame.word_at(point), None
    if word is None and (box := frame.box_at(point)) is not None:
        word = frame.word_in(box)
        if word is None:
            return _beside_text(box, frame)
    if word is None:
        return None
    phrase = frame.phrase_of(word)
    is_small = len(phrase.words) <= _MAX_WORDS and (box is None or box.contains(phrase.rect))
    for part in [phrase] * is_small + [Phrase((word,))]:
        if has_letters(part) and (place := _of_text(part, frame)):
            return place
    return None


def _of_text(phrase: Phrase, frame: ReadFrame) -> ChosenPlace | None:
    words = phrase.text
    found = frame.find(words)
    here = [at for at, match in enumerate(found) if match.rect.intersection(phrase.rect)]
    if len(here) != 1:
        return None
    rect = found[here[0]].rect
    if len(found) == 1:
        return ChosenPlace(words, None, "", rect)
    anchor = _anchor(words, rect, frame)
    narrowed = f".nth({here[0]})" if anchor is None else f".right_of(screen.text({quoted(anchor)}))"
    return ChosenPlace(words, None, narrowed, rect)


def _anchor(words: str, rect: Rect, frame: ReadFrame) -> str | None:
    """Return a text to the left of a place that tells it from the others, the nearest first."""
    _, y = middle(rect)
    others = [each for each in frame.phrases(y) if each.rect.right <= rect.x]
    for phrase in sorted(others, key=lambda each: -each.rect.right):
        anchors = frame.find(phrase.text) if has_letters(phrase) else []
        if len(anchors) != 1:
            continue
        relation = Relation("right_of", Target(TextQuery(phrase.text)), None)
        places = [match.rect for match in frame.find(words)]
        if [each for each in places if relation.holds(each, anchors[0].rect)] == [rect]:
            return phrase.text
    return None


def _beside_text(field: Rect, frame: ReadFrame) -> ChosenPlace | None:
    """Return the point beside a label that is inside a field or a tick box without a text.

    The label of a field is to its left, else above it; that of a tick box is to its right.
    """
    sides: tuple[Side, ...] = ("right_of", "below")
    if field.width <= _TICK_BOX:
        sides = ("left_of", "right_of")
    for side in sides:
        best: tuple[int, ChosenPlace] | None = None
        for phrase in frame.phrases():
            found = frame.find(phrase.text) if has_letters(phrase) else []
            if len(found) != 1:
                continue
            rect = found[0].rect
            gap = {
                "right_of": field.x - rect.right,
                "left_of": rect.x - field.right,
                "below": field.y - rect.bottom,
            }[side]
            away = gap + (field.height if side == "below" else field.width) // 2
            inside = Rect(*Offset(side, away).point(rect), 1, 1)
            near = 0 <= gap <= _MAX_BESIDE and (best is None or gap < best[0])
            if near and field.contains(inside):
                is_field = field.width > _TICK_BOX
                best = gap, ChosenPlace(phrase.text, None, f".{side}({away})", rect, is_field)
        if best is not None:
            return best[1]
    return None


# ---- Images


def choose_image(point: Point, frame: ReadFrame) -> ChosenPlace | None:
    """Return the smallest image around a pixel that the screen shows only once."""
    whole = frame.whole
    for half in _HALVES:
        x, y = point
        rect = Rect(x - half, y - half, 2 * half, 2 * half).intersection(whole)
        if rect is None or not rect.contains(Rect(x, y, 1, 1)):
            return None
        needle = Needle.cut(frame.frame, rect, click=point)
        if float(needle.pixels.std(axis=(0, 1)).max()) < _MIN_DEVIATION:
            continue
        try:
            places = _places(needle, frame)
        except MissingError as error:
            frame.missing = frame.missing or str(error)
            return None
        if places == [rect]:
            return ChosenPlace(None, needle, "", rect)
    return None


def _places(needle: Needle, frame: ReadFrame) -> list[Rect]:
    finder = Finder(needle)
    whole = frame.whole
    mode = Mode(whole.width, whole.height, frame.frame.strides[0], 0, 0)
    seen = Seen(frame.frame, whole, None, 0.0, NOTHING_TAKEN, mode)
    finder.best_match(seen)
    return [match.rect for match in finder.matches()]


def quoted(text: str) -> str:
    """Return a string literal, with double quotes if that needs no escapes."""
    written = repr(text)
    if written[0] == "'" and '"' not in text:
        return f'"{written[1:-1]}"'
    return written
