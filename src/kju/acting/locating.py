"""Locators: which places of the screen are meant, and when they may be used.

A `Target` describes places: a text or an image, in a region, in a direction from another target,
one of several by its number. It finds nothing by itself. A `Located` condition searches frames for
it, and is met when the right number of places has been on the screen, unchanged, for a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from ..errors import GeometryError, UsageError
from ..surface.geometry import Rect
from ..vision.areas import check_rect, cut_out, pixel_words, rect_text
from ..vision.finding import Found, PlaceFinder, Query, middle
from ..vision.looking import Condition, Seen
from ..vision.timeout import Best, ScreenError, ScreenTimeoutError
from .checks import is_whole

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..vision.finding import Pixels

#: Seconds for which a target must not have changed before it is used.
_STEADY = 0.1
#: The largest distance of `near` without another one, in pixels.
NEAR = 50
#: The distance of a point beside a target without another one, in heights of the target.
_BESIDE = 2
_MAX_DISTANCE = 1 << 14
# The most places that a message lists.
_LISTED = 5

Side: TypeAlias = Literal["right_of", "left_of", "above", "below"]
_WORDS = {
    "right_of": "to the right of",
    "left_of": "to the left of",
    "above": "above",
    "below": "below",
    "near": "near",
}


class AmbiguousTargetError(ScreenError):
    """Several places of the screen match a locator that must name one.

    Attributes:
        what: The locator's description.
        places: The places.
    """

    numbered = True

    def __init__(
        self, what: str, places: tuple[Found, ...], frame: Pixels | None, region: Rect | None
    ) -> None:
        self.places = places
        rects = tuple(place.rect for place in places)
        listed = ", ".join(f"{rect.x},{rect.y}" for rect in rects[:_LISTED])
        more = f" and {len(rects) - _LISTED} more" if len(rects) > _LISTED else ""
        message = (
            f"{len(rects)} places match {what}: at {listed}{more}; name one with nth(), near(),"
            " right_of() or a region"
        )
        super().__init__(message)
        self.what = what
        self.frame = frame
        self.region = region
        self.best = Best(places=rects)

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling: errors are sent between processes (pools, test runners)."""
        return type(self), (self.what, self.places, self.frame, self.region)


class ExpectationError(ScreenTimeoutError, AssertionError):
    """A screen does not show what `kju.expect` expects."""

    @classmethod
    def of(cls, error: ScreenTimeoutError) -> ExpectationError:
        """Return the failed expectation of a wait that timed out."""
        return cls(**error.fields)

    def _message(self) -> str:
        return super()._message().replace("waiting for", "expecting", 1)


class Relation(NamedTuple):
    """A place of one target relative to another.

    Attributes:
        side: ``right_of``, ``left_of``, ``above``, ``below`` or ``near``.
        other: The other target.
        distance: The largest gap between the two, in pixels; None for any.
    """

    side: Side | Literal["near"]
    other: Target
    distance: int | None

    @property
    def words(self) -> str:
        """The description, as the end of a target's."""
        return f"{_WORDS[self.side]} {self.other.words}"

    def holds(self, place: Rect, anchor: Rect) -> bool:
        """Check whether a place stands in this relation to an anchor.

        Boxes of recognised lines overlap by some pixels where the lines are close. So two boxes may
        overlap by half of the lower one's height, and boxes beside each other must do so.
        """
        right, down = place.x - anchor.right, place.y - anchor.bottom
        left, up = anchor.x - place.right, anchor.y - place.bottom
        slack = min(place.height, anchor.height) // 2
        beside = -max(down, up) > slack
        over = max(right, left) < 0
        gap, fits = {
            "right_of": (right, beside),
            "left_of": (left, beside),
            "below": (down, over),
            "above": (up, over),
            "near": (max(right, left, down, up), place != anchor),
        }[self.side]
        if not fits or (self.side != "near" and gap < -slack):
            return False
        return self.distance is None or gap <= self.distance


class Offset(NamedTuple):
    """The point beside a target that is clicked in place of its middle.

    Attributes:
        side: The side.
        distance: Pixels from the target's edge; None is two of its heights.
    """

    side: Side
    distance: int | None

    def point(self, rect: Rect) -> tuple[int, int]:
        """Return the point beside a rectangle, at its middle."""
        away = _BESIDE * rect.height if self.distance is None else self.distance
        x, y = middle(rect)
        return {
            "right_of": (rect.right + away, y),
            "left_of": (rect.x - 1 - away, y),
            "below": (x, rect.bottom + away),
            "above": (x, rect.y - 1 - away),
        }[self.side]


@dataclass(frozen=True)
class Target:
    """Places on the screen.

    Attributes:
        query: The text or image.
        region: The searched rectangle; None is everything.
        relations: Relations to other targets; all of them must hold.
        offset: The point to click beside the place; None is the place's own.
        index: The number of the place among several, from the top; negative from the end. None
            where there must be one only.
    """

    query: Query
    region: Rect | None = None
    relations: tuple[Relation, ...] = ()
    offset: Offset | None = None
    index: int | None = None

    @property
    def words(self) -> str:
        """The description, for messages."""
        number = "" if self.index is None else f" number {self.index}"
        beside = ""
        if self.offset is not None:
            beside = f"the point {_WORDS[self.offset.side]} "
        where = "".join(f" {relation.words}" for relation in self.relations)
        return f"{beside}{self.query.words}{number}{where}"

    def beside(self, side: Side, distance: int | None) -> Target:
        """Return this target with a point beside it.

        Raises:
            UsageError: The distance is not a whole number of pixels.
        """
        return replace(self, offset=Offset(side, _checked_distance(distance)))

    def related(self, side: Side | Literal["near"], other: Target, distance: int | None) -> Target:
        """Return this target with a relation to another one.

        Raises:
            UsageError: The distance is not a whole number of pixels.
        """
        relation = Relation(side, other, _checked_distance(distance))
        return replace(self, relations=(*self.relations, relation))

    def within(self, region: tuple[int, int, int, int]) -> Target:
        """Return this target in a region.

        Raises:
            UsageError: The region is empty.
        """
        return replace(self, region=check_rect(region, "the region"))

    def nth(self, index: int) -> Target:
        """Return one of this target's places.

        Raises:
            UsageError: *index* is not a whole number.
        """
        if not is_whole(index):
            raise UsageError(f"the number of a place is a whole number, not {index!r:.40}")
        return replace(self, index=index)

    @property
    def watched(self) -> Rect | None:
        """The rectangle whose changes matter; None is everything."""
        return None if self.relations else self.region


class Search:
    """The search for a target in frames that follow one another."""

    def __init__(self, target: Target) -> None:
        """Prepare the search; reads the files of needles.

        Raises:
            NeedleError: A file is not a needle.
            OSError: A file can't be read.
            MissingError: OpenCV is not installed.
        """
        self._target = target
        self._finder: PlaceFinder = target.query.finder()
        self._others = [(each, Search(each.other)) for each in target.relations]
        self._region: Rect | None = None
        self._unrelated = 0
        self._missing = ""

    def find(self, seen: Seen) -> tuple[Found, ...]:
        """Return the places in a frame, from the top; one at most where the target has an index."""
        target, self._missing = self._target, ""
        region = target.region or seen.mode.whole
        if not seen.mode.whole.contains(region):
            size = f"{seen.mode.width}x{seen.mode.height}"
            self._missing = f"the screen is {size} and has no region {rect_text(region)}"
            return ()
        # The finder's memory of the last frame is valid for one region only.
        damage = seen.damage if region == self._region else None
        self._region = region
        if damage is not None:
            damage = tuple(part for rect in damage if (part := rect.intersection(region)))
        places = self._finder.find(seen._replace(region=region, damage=damage))
        self._unrelated = len(places)
        for relation, search in self._others:
            anchors = search.find(seen._replace(region=seen.mode.whole))
            if not anchors:
                self._missing = f"{relation.other.words} was not found"
            places = [p for p in places if any(relation.holds(p.rect, a.rect) for a in anchors)]
        if target.offset is not None:
            places = [p._replace(point=target.offset.point(p.rect)) for p in places]
        if target.index is None:
            return tuple(places)
        try:
            return (places[target.index],)
        except IndexError:
            if not self._missing and places:
                self._missing = f"only {len(places)} places match"
            return ()

    def best(self) -> Best:
        """Return the description of the screen, for the error."""
        best = self._finder.best()
        if self._missing:
            return best._replace(words=self._missing + (f"; {best.words}" if best.words else ""))
        if self._others and self._unrelated:
            relations = " or ".join(relation.words for relation, _ in self._others)
            words = f"{self._target.query.words} is {_times(self._unrelated)} on the screen, but"
            return best._replace(words=f"{words} not {relations}")
        return best


class Located(Condition["tuple[Found, ...]"]):
    """The right number of places is on the screen, and has not changed for a time."""

    def __init__(
        self,
        target: Target,
        what: str,
        enough: Callable[[int], bool],
        *,
        one: bool = False,
        steady: float = _STEADY,
    ) -> None:
        """Prepare the search.

        Args:
            target: The target.
            what: The description of the condition, for messages.
            enough: Checks the number of places.
            one: Refuse several places.
            steady: Seconds without a change of the places.

        Raises:
            UsageError, NeedleError, OSError, MissingError: As of `Search`.
        """
        self.what: str = what
        self._target = target
        self._search = Search(target)
        self._enough = enough
        self._one = one
        self._steady = steady
        self._places: tuple[Found, ...] = ()
        self._state: _State | None = None

    def check(self, seen: Seen) -> tuple[Found, ...] | None:
        """Return the places once they have held still.

        Raises:
            AmbiguousTargetError: Several places match, and one must.
        """
        state, self.again = self._state, None
        if state is None or seen.damage != ():
            self._places = self._search.find(seen)
        places = self._places
        if not self._enough(len(places)):
            self._state = None
            return None
        if state is None or not state.is_same(seen, places):
            pixels = tuple(cut_out(seen.pixels, place.rect).copy() for place in places)
            self._state = state = _State(places, pixels, seen.now)
        ready = state.since + self._steady
        if seen.now < ready and seen.now - state.since < self._steady:
            self.again = ready
            return None
        if self._one and len(state.places) > 1:
            region = self._target.region
            raise AmbiguousTargetError(self._target.words, state.places, seen.pixels, region)
        return state.places

    def best(self, now: float) -> Best:
        """Return the description of the screen, for the error."""
        if not self._places:
            return self._search.best()
        places = tuple(place.rect for place in self._places)
        words = f"it is on the screen {_times(len(places))}"
        if self._enough(len(places)):
            words += ", but does not hold still"
        return Best(words, places=places)


class _State(NamedTuple):
    """Places that were found, and since when they have not changed."""

    places: tuple[Found, ...]
    pixels: tuple[npt.NDArray[Any], ...]
    since: float

    def is_same(self, seen: Seen, places: tuple[Found, ...]) -> bool:
        """Check whether these places are in a frame as they were, with the same pixels.

        Recognised text may have another box in each frame, though its pixels are equal.
        """
        if len(places) != len(self.places):
            return False
        for old, new, pixels in zip(self.places, places, self.pixels, strict=True):
            now = cut_out(seen.pixels, old.rect)
            if not old.rect.intersection(new.rect) or now.shape != pixels.shape:
                return False
            if (pixel_words(now) != pixel_words(pixels)).any():
                return False
        return True


def check_point(found: Found, width: int, height: int, what: str) -> Found:
    """Return a place whose point is on the screen.

    Raises:
        GeometryError: The point is outside.
    """
    x, y = found.point
    if not (0 <= x < width and 0 <= y < height):
        raise GeometryError(
            f"{what} is at {x}, {y}, outside of the {width}x{height} screen: give another distance"
        )
    return found


def _checked_distance(distance: int | None) -> int | None:
    if distance is not None and not (is_whole(distance) and 0 <= distance < _MAX_DISTANCE):
        raise UsageError(f"a distance is a whole number of pixels, not {distance!r:.40}")
    return distance


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def check_count(count: int) -> int:
    """Return a number of places.

    Raises:
        UsageError: It is not a whole number from 0.
    """
    if not is_whole(count) or count < 0:
        raise UsageError(f"a count is a whole number from 0, not {count!r:.40}")
    return count


def text_pattern(wanted: str | re.Pattern[str]) -> str | re.Pattern[str]:
    """Return a user's text.

    Raises:
        UsageError: It is neither a text nor a compiled regular expression.
    """
    if not isinstance(wanted, str | re.Pattern):
        raise UsageError(f"a text to find is a string or a compiled pattern, not {wanted!r:.40}")
    return wanted
