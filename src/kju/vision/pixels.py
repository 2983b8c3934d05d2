"""Conditions on pixels: a change, stillness, a colour, a predicate."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from ..errors import UsageError
from ..surface import Change, Mark
from ..surface.geometry import Rect, bounding
from .areas import bounds_of, check_rect, cut_out, differing, pixel_words, rect_text
from .looking import Condition, Seen
from .timeout import Best

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

T = TypeVar("T")

# Limits of a blinking text cursor. The largest cells of guests' fonts are 16x32 pixels (Linux on
# 4K), and the tallest carets are those of large headings.
_BLINK_WIDTH, _BLINK_HEIGHT = 32, 64


class Changed(Condition[Change]):
    """The pixels differ from those of the first frame, or from those at a mark."""

    what = "a change"

    def __init__(self, since: Mark | None = None) -> None:
        """Begin. With a mark whole tiles count, since their pixels at the mark are unknown."""
        self._since = since
        self._before: Pixels | None = None

    def check(self, seen: Seen) -> Change | None:
        """Return the rectangles that differ, if any."""
        before, self._before = self._before, seen.pixels
        if before is None and self._since is None:
            return None
        if seen.damage is None:
            return Change(seen.mark, seen.mode, [seen.region], True)
        found = list(seen.damage)
        if before is not None:
            found = _differing(before, seen.pixels, found)
        return Change(seen.mark, seen.mode, found, False) if found else None

    def best(self, now: float) -> Best:
        """Return that nothing changed."""
        return Best("no pixel of it changed")


class Still(Condition["Pixels"]):
    """The pixels have not changed for a time, except for a blinking cursor.

    A cursor is one place, no larger than a text cursor, that changes between two pictures. Its
    first change looks like any other and ends the stillness; when the place changes back, that is
    undone, and the stillness lasts since before the first change.
    """

    def __init__(self, seconds: float, ignore: Iterable[Rect] = ()) -> None:
        """Wait for *seconds* without a change outside of *ignore*.

        Raises:
            UsageError: *seconds* is negative, or a rectangle holds no pixel.
        """
        if not seconds >= 0:
            raise UsageError(f"seconds without a change must be at least 0, not {seconds}")
        self.what: str = f"{seconds:g} s without a change"
        self.ignored: tuple[Rect, ...] = tuple(
            check_rect(rect, "the ignored area") for rect in ignore
        )
        self._seconds = seconds
        self._movement = Movement(0.0, self.ignored)
        self._longest = 0.0

    def check(self, seen: Seen) -> Pixels | None:
        """Return the region's pixels once they have been still for long enough."""
        movement, now = self._movement, seen.now
        if movement.last is not None:
            self._longest = max(self._longest, now - movement.since)
        movement.take(seen)
        since = movement.since
        still = now - since
        self._longest = max(self._longest, still)
        self.again: float | None = since + self._seconds
        # Compare with the sum too: rounding can make it later than the difference.
        return seen.part if now >= self.again or still >= self._seconds else None

    def best(self, now: float) -> Best:
        """Return the places that moved last."""
        movement = self._movement
        still = max(self._longest, now - movement.since) if movement.last is not None else 0.0
        words = f"it was still for {still:.2f} s at most"
        if movement.places:
            words += f"; what moved last is {rect_text(bounding(movement.places))}"
        return Best(words, places=tuple(movement.places))


class Movement:
    """The last movement of a picture, except that of a blinking cursor.

    Attributes:
        since: Time of the last movement, or the one that the constructor was given.
        places: The rectangles that moved last; empty where everything did, or nothing.
        last: The last picture; None before the first.
    """

    def __init__(
        self, since: float, ignored: tuple[Rect, ...] = (), last: Pixels | None = None
    ) -> None:
        """Begin.

        Args:
            since: Time of the last movement before.
            ignored: Rectangles that may move.
            last: The picture of that time, for which the first damage is valid; None without one:
                then the first picture is a movement.
        """
        self.since: float = since
        self.places: list[Rect] = []
        self.last: Pixels | None = last
        self._ignored = ignored
        self._blink: _Blink | None = None

    def take(self, seen: Seen) -> None:
        """Compare the next picture with the last one."""
        last, self.last = self.last, seen.pixels
        if last is None or last.shape != seen.pixels.shape:
            self.since, self._blink, self.places = seen.now, None, []
        else:
            damage = (seen.region,) if seen.damage is None else seen.damage
            boxes = _differing(last, seen.pixels, damage, self._ignored)
            self._move(last, seen.pixels, boxes, seen.now)

    def _move(self, last: Pixels, new: Pixels, boxes: list[Rect], now: float) -> None:
        blink = self._blink
        if blink and any(blink.rect.contains(box) for box in boxes):
            if _picture(new, blink.rect) in blink.pictures:
                boxes = [box for box in boxes if not blink.rect.contains(box)]
                if self.since == blink.at:
                    self.since = blink.before
            else:
                self._blink = None
        if not boxes:
            return
        around = bounding(boxes)
        if around.width <= _BLINK_WIDTH and around.height <= _BLINK_HEIGHT:
            two = frozenset((_picture(last, around), _picture(new, around)))
            self._blink = _Blink(around, two, self.since, now)
        self.since, self.places = now, boxes


class _Blink(NamedTuple):
    """A place that may blink.

    Attributes:
        rect: The place.
        pictures: The two that it showed.
        before: Begin of the stillness before its first change.
        at: Time of its first change.
    """

    rect: Rect
    pictures: frozenset[bytes]
    before: float
    at: float


class Coloured(Condition["Pixels"]):
    """A share of the region's pixels has a colour."""

    def __init__(
        self, colour: str | tuple[int, int, int], share: float = 1.0, tolerance: int = 0
    ) -> None:
        """Wait for a colour.

        Args:
            colour: ``"#rrggbb"``, a name of CSS, or red, green and blue.
            share: Of the region's pixels, above 0 to 1.
            tolerance: Allowed difference of each of red, green and blue, 0 to 255.

        Raises:
            UsageError: An argument is invalid.
        """
        self._rgb = colour_of(colour)
        if not 0 < share <= 1:
            raise UsageError(f"share is above 0 and at most 1, not {share}")
        if not 0 <= tolerance <= 255:
            raise UsageError(f"tolerance is 0 to 255, not {tolerance}")
        name = "#{:02x}{:02x}{:02x}".format(*self._rgb)
        self.what: str = f"the colour {name} on {share:.0%} of the pixels"
        self._share = share
        self._tolerance = tolerance
        self._found = 0.0

    def check(self, seen: Seen) -> Pixels | None:
        """Return the region's pixels once enough of them have the colour."""
        part = seen.part
        red, green, blue = self._rgb
        if part.ndim == 2:
            channels = [(part, (red * 77 + green * 150 + blue * 29 + 128) >> 8)]
        else:
            channels = [(part[..., i], value) for i, value in enumerate((blue, green, red))]
        fits = np.ones(part.shape[:2], bool)
        for plane, value in channels:
            low, high = max(value - self._tolerance, 0), min(value + self._tolerance, 255)
            fits &= (plane >= low) & (plane <= high)
        self._found = float(np.count_nonzero(fits)) / fits.size
        return part if self._found >= self._share else None

    def best(self, now: float) -> Best:
        """Return the share of the last frame."""
        return Best(f"{self._found:.1%} of the pixels had it", score=self._found)


class Holds(Condition[T]):
    """A predicate of the region's pixels is true."""

    def __init__(self, predicate: Callable[[Pixels], T]) -> None:
        self.what: str = f"the condition {getattr(predicate, '__name__', 'of the predicate')}"
        self._predicate = predicate
        self._result: object = None

    def check(self, seen: Seen) -> T | None:
        """Return the predicate's result once it is true."""
        result = self._predicate(seen.part)
        self._result = result
        return result if result else None

    def best(self, now: float) -> Best:
        """Return the predicate's last result."""
        return Best(f"it returned {self._result!r:.60}")


def colour_of(colour: str | tuple[int, int, int]) -> tuple[int, int, int]:
    """Return a colour as red, green and blue.

    Raises:
        UsageError: The name or the numbers are invalid.
    """
    if isinstance(colour, str):
        from PIL import ImageColor

        try:
            return ImageColor.getrgb(colour)[:3]
        except ValueError as error:
            raise UsageError(f"unknown colour {colour!r}; write #rrggbb or a CSS name") from error
    if len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
        raise UsageError(f"invalid colour {colour!r}; red, green and blue are 0 to 255 each")
    red, green, blue = map(int, colour)
    return red, green, blue


def _differing(
    before: Pixels, after: Pixels, damage: Iterable[Rect], ignore: Iterable[Rect] = ()
) -> list[Rect]:
    """Return the bounding rectangle of the differences in each rectangle that has any.

    Args:
        before: A picture.
        after: Another one of the same size.
        damage: Rectangles in which they may differ; inside both.
        ignore: Rectangles that are not compared.
    """
    hidden = list(ignore)
    found = ((rect, bounds_of(differing(before, after, rect, hidden))) for rect in damage)
    return [box._replace(x=rect.x + box.x, y=rect.y + box.y) for rect, box in found if box]


def _picture(pixels: Pixels, rect: Rect) -> bytes:
    return pixel_words(cut_out(pixels, rect)).tobytes()
