"""Search for needles: OpenCV's template matching, repeated only where pixels changed.

The score of a place is 1 minus the mean squared difference of the compared pixels, divided by twice
the needle's own variance. 1.0 is equal in every pixel, and a plain area scores 0.5 at most at any
contrast of the needle. So dim text on a dim background differs from the background alone; a plain
difference would not show that.

Each needle keeps the score of every place in the region. When a rectangle changes, only the places
that overlap it are matched again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import extras
from ..errors import MissingError, UsageError
from ..surface.geometry import Rect
from .areas import cut_out, rect_text
from .looking import Condition, Seen
from .needle import Needle, check_similarity
from .timeout import Best

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Sums = npt.NDArray[np.float32]

# Deviation of a needle of one colour, which has none: a similarity of 0.95 then allows an invisible
# difference of 4 levels everywhere.
_MIN_DEVIATION = 12.0

# The most places of a needle that are listed, and the error of OpenCV's scores.
_MAX_PLACES = 100
_ROUNDING = 0.01

# Above this share of places to match again, all are matched, in one call.
_MAX_PARTIAL = 0.6


class Match(NamedTuple):
    """A needle found on the screen.

    Attributes:
        needle: The needle.
        number: Its index among the needles of the wait.
        rect: Its place, pixels of the screen.
        score: Its similarity; 1.0 is equal.
    """

    needle: Needle
    number: int
    rect: Rect
    score: float

    @property
    def click(self) -> tuple[int, int]:
        """The pixel of the screen to click: the needle's click point, or its middle."""
        x, y = self.needle.click or (self.rect.width // 2, self.rect.height // 2)
        return self.rect.x + x, self.rect.y + y


class Finder:
    """Search for one needle in pictures that differ little from one to the next."""

    def __init__(self, needle: Needle, number: int = 0) -> None:
        """Prepare the needle.

        Raises:
            MissingError: OpenCV is not installed.
        """
        self._cv = opencv("finding images", "image")
        self._needle = needle
        self._number = number
        mask = needle.mask
        counted = needle.pixels[mask].astype(np.float64)
        self._count = counted.size
        variance = float(counted.var(axis=0).mean())
        self._scale = 2.0 * max(variance, _MIN_DEVIATION**2) * self._count
        # A mask is used even where nothing is excluded: OpenCV 5.0 then takes half the time, 53 ms
        # in place of 120 for the smaller needle of benchmarks/needles.py.
        self._mask = mask.astype(np.float32)
        self._sums: Sums | None = None
        self._origin = (0, 0)
        self._pixels: Pixels = needle.pixels

    def best_match(self, seen: Seen) -> Match | None:
        """Return the best match; None where the region is smaller than the needle."""
        width, height = self._needle.size
        region = seen.region
        columns, rows = region.width - width + 1, region.height - height + 1
        if columns <= 0 or rows <= 0:
            self._sums = None
            return None
        part = seen.part
        self._origin, self._pixels = (region.x, region.y), seen.pixels
        if self._sums is None or seen.damage is None:
            self._sums = self._match(part)
        else:
            self._match_again(
                part, [r._replace(x=r.x - region.x, y=r.y - region.y) for r in seen.damage]
            )
        _, _, (x, y), _ = self._cv.minMaxLoc(self._sums)
        place = Rect(region.x + x, region.y + y, width, height)
        return Match(self._needle, self._number, place, self._score(cut_out(seen.pixels, place)))

    def matches(self, similarity: float | None = None) -> list[Match]:
        """Return every place in the region of the last `best_match`, the best first.

        Args:
            similarity: The minimum score; None is the needle's own.
        """
        found: list[Match] = []
        if self._sums is None:
            return found
        wanted = self._needle.similarity if similarity is None else similarity
        width, height = self._needle.size
        sums = self._sums.copy()
        while len(found) < _MAX_PLACES:
            # OpenCV's sums are rounded: the exact score decides, of places that come near it.
            least, _, (x, y), _ = self._cv.minMaxLoc(sums)
            if 1.0 - least / self._scale < wanted - _ROUNDING:
                break
            place = Rect(self._origin[0] + x, self._origin[1] + y, width, height)
            score = self._score(cut_out(self._pixels, place))
            if score >= wanted:
                found.append(Match(self._needle, self._number, place, score))
            top, left = max(y - height // 2, 0), max(x - width // 2, 0)
            sums[top : y + height // 2 + 1, left : x + width // 2 + 1] = np.inf
        return found

    def _match_again(self, part: Pixels, damage: list[Rect]) -> None:
        sums = self._sums
        assert sums is not None  # noqa: S101  the caller has just looked
        rows, columns = sums.shape
        width, height = self._needle.size
        places = []
        for rect in damage:
            left, top = max(rect.x - width + 1, 0), max(rect.y - height + 1, 0)
            right, bottom = min(rect.right, columns), min(rect.bottom, rows)
            if left < right and top < bottom:
                places.append(Rect(left, top, right - left, bottom - top))
        places = merged(places)
        if sum(place.area for place in places) > _MAX_PARTIAL * rows * columns:
            self._sums = self._match(part)
            return
        for place in places:
            wide, high = place.width + width - 1, place.height + height - 1
            around = Rect(place.x, place.y, wide, high)
            cut_out(sums, place)[...] = self._match(cut_out(part, around))

    def _match(self, part: Pixels) -> Sums:
        """Return the sum of squared differences at every place of a picture."""
        code = self._cv.COLOR_GRAY2BGR if part.ndim == 2 else self._cv.COLOR_BGRA2BGR
        image = self._cv.cvtColor(np.asarray(part), code)
        method = self._cv.TM_SQDIFF
        sums: Sums = self._cv.matchTemplate(image, self._needle.pixels, method, mask=self._mask)
        return sums

    def _score(self, part: Pixels) -> float:
        """Return the exact score; OpenCV's sums are rounded."""
        plain = np.asarray(part)
        plain = plain[..., np.newaxis] if plain.ndim == 2 else plain[..., :3]
        apart = plain.astype(np.int32) - self._needle.pixels
        total = int((apart * apart)[self._needle.mask].sum(dtype=np.int64))
        return max(0.0, 1.0 - total / self._scale)


class Shows(Condition[Match]):
    """A needle is on the screen. Where several are, the result is the first of the list."""

    def __init__(
        self, needles: Sequence[Needle], region: Rect | None, similarity: float | None = None
    ) -> None:
        """Search for needles.

        Args:
            needles: At least one.
            region: The searched rectangle; None is everything.
            similarity: Minimum score; by default each needle's own.

        Raises:
            UsageError: A needle is larger than the region, or the similarity is invalid.
            MissingError: OpenCV is not installed.
        """
        if similarity is not None:
            check_similarity(similarity)
        for needle in needles:
            width, height = needle.size
            if region is not None and (width > region.width or height > region.height):
                raise UsageError(
                    f"{needle.name} is {width}x{height}, larger than {rect_text(region)}"
                )
        names = ", ".join(needle.name for needle in needles)
        self.what: str = f"the image {names}" if len(needles) == 1 else f"any of the images {names}"
        self._similarity = similarity
        self._finders = [Finder(needle, number) for number, needle in enumerate(needles)]
        self._best: Match | None = None

    def check(self, seen: Seen) -> Match | None:
        """Return the match, if there is one."""
        matches = [match for finder in self._finders if (match := finder.best_match(seen))]
        self._best = max(matches, key=lambda match: match.score, default=None)
        return next((match for match in matches if self._enough(match)), None)

    def _enough(self, match: Match) -> bool:
        wanted = self._similarity
        return match.score >= (match.needle.similarity if wanted is None else wanted)

    def best(self, now: float) -> Best:
        """Return the best match of all needles."""
        match = self._best
        if match is None:
            return Best("the screen is smaller than the needle")
        wanted = match.needle.similarity if self._similarity is None else self._similarity
        place = rect_text(match.rect)
        words = f"best match of {match.needle.name}: {place}, {match.score:.3f} of {wanted:g}"
        return Best(words, match.rect, match.score, match.needle)


def merged(rects: Sequence[Rect]) -> list[Rect]:
    """Join rectangles where the union has no larger area."""
    todo, done = list(rects), []
    while todo:
        rect = todo.pop()
        for number, other in enumerate(todo):
            union = rect.union(other)
            if union.area <= rect.area + other.area:
                todo[number] = union
                break
        else:
            done.append(rect)
    return done


def opencv(purpose: str, extra: str) -> Any:  # noqa: ANN401  a module without types
    """Return OpenCV's module: optional and large, so it is imported on first use.

    Raises:
        MissingError: It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingError(extras.message(extra, purpose, ["OpenCV"])) from error
    return cv2
