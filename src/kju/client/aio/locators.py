"""Locators: places of a screen that are found when they are used, for asyncio."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, overload

from ...surface import Mark
from ...surface.geometry import Area
from .. import looks
from ..link import DEFAULT_TIMEOUT, Timeout
from .acting import Acting
from .waiting import run_blocking

if TYPE_CHECKING:
    from ...acting.locating import Side, Target
    from ...vision.finding import Found

T = TypeVar("T")


class Locating(Acting):
    """A screen whose texts and images are used by locators."""

    def text(
        self,
        text: str | re.Pattern[str],
        region: Area | None = None,
        *,
        language: str = "eng",
    ) -> Locator:
        """Return a locator for a text. Nothing is searched yet.

        Args:
            text: The text, as for `kju.vision.Text.find`.
            region: Area in pixels; the whole screen by default. A small one is read faster.
            language: Tesseract's name of the language to expect.

        Raises:
            UsageError: *text* is empty.
        """
        from ...acting.locating import Target, text_pattern
        from ...vision.finding import TextQuery

        target = Target(TextQuery(text_pattern(text), language))
        return Locator(self, target if region is None else target.within(region))

    def image(
        self,
        needle: looks.OneNeedle | Sequence[looks.OneNeedle],
        region: Area | None = None,
        *,
        similarity: float | None = None,
    ) -> Locator:
        """Return a locator for an image. Nothing is searched yet, and no file is read.

        Args:
            needle: As for `wait_image`; a place of any of several needles counts.
            region: Area in pixels; the whole screen by default.
            similarity: 1.0 means equal pixels. By default the needle's own similarity.

        Raises:
            UsageError: *similarity* is not valid.
        """
        from ...acting.locating import Target
        from ...vision.finding import ImageQuery

        target = Target(ImageQuery(needle, similarity))
        return Locator(self, target if region is None else target.within(region))


class Locator:
    """A place of a screen, found anew each time it is used.

    `kju.Screen.text` and `kju.Screen.image` return locators; the methods below make more precise
    ones from them. An action waits until the place is on the screen and has not changed for a tenth
    of a second, and clicks its middle (a needle's own click point). Several matching places are an
    error, `kju.acting.AmbiguousTargetError`: a locator never guesses.

    After the timeout an action raises `kju.vision.ScreenTimeoutError`, which has the text that
    was read and the most similar line; its `save` draws them. Actions need the control role.
    Timeouts are seconds, None for no limit; the default is `default_timeout` of the screen.
    """

    def __init__(self, screen: Acting, target: Target) -> None:
        """Use `kju.Screen.text` or `kju.Screen.image`."""
        self._screen = screen
        self._target = target

    def __repr__(self) -> str:
        return f"<Locator of {self._target.words}>"

    # ---- More precise locators

    @overload
    def right_of(self, other: int | None = None) -> Locator: ...
    @overload
    def right_of(self, other: Locator, distance: int | None = None) -> Locator: ...
    def right_of(self, other: Locator | int | None = None, distance: int | None = None) -> Locator:
        """Return a locator for a place to the right of another one, or for a point to the right.

        Args:
            other: A locator: this place must be to its right, at the same height. Or pixels from
                the right edge of this place, to click there at its height; by default two of its
                heights. So ``screen.text("Name:").right_of().fill("Ann")`` fills the field beside a
                label.
            distance: The largest gap to the other locator, in pixels; any by default.
        """
        return self._side("right_of", other, distance)

    @overload
    def left_of(self, other: int | None = None) -> Locator: ...
    @overload
    def left_of(self, other: Locator, distance: int | None = None) -> Locator: ...
    def left_of(self, other: Locator | int | None = None, distance: int | None = None) -> Locator:
        """Return a locator for a place to the left of another one, or for a point to the left.

        Arguments as of `right_of`.
        """
        return self._side("left_of", other, distance)

    @overload
    def below(self, other: int | None = None) -> Locator: ...
    @overload
    def below(self, other: Locator, distance: int | None = None) -> Locator: ...
    def below(self, other: Locator | int | None = None, distance: int | None = None) -> Locator:
        """Return a locator for a place below another one, or for a point below.

        Arguments as of `right_of`.
        """
        return self._side("below", other, distance)

    @overload
    def above(self, other: int | None = None) -> Locator: ...
    @overload
    def above(self, other: Locator, distance: int | None = None) -> Locator: ...
    def above(self, other: Locator | int | None = None, distance: int | None = None) -> Locator:
        """Return a locator for a place above another one, or for a point above.

        Arguments as of `right_of`.
        """
        return self._side("above", other, distance)

    def near(self, other: Locator, distance: int = 50) -> Locator:
        """Return a locator for a place near another one, in any direction.

        Args:
            other: The other locator.
            distance: The largest gap between the two, in pixels.
        """
        return Locator(self._screen, self._target.related("near", other._target, distance))

    def within(self, region: Area) -> Locator:
        """Return a locator that searches a region only, in pixels of the screen."""
        return Locator(self._screen, self._target.within(region))

    def nth(self, index: int) -> Locator:
        """Return a locator for one of several places.

        Args:
            index: From 0, from the top and from the left; -1 is the last one.
        """
        return Locator(self._screen, self._target.nth(index))

    def _side(self, side: Side, other: Locator | int | None, distance: int | None) -> Locator:
        if isinstance(other, Locator):
            target = self._target.related(side, other._target, distance)
        else:
            target = self._target.beside(side, distance if other is None else other)
        return Locator(self._screen, target)

    # ---- Actions

    async def click(
        self,
        *,
        button: str = "left",
        count: int = 1,
        keys: Sequence[str | int] = (),
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> Mark:
        """Wait for the place, and click it.

        Args:
            button: The name of the button.
            count: 2 for a double click, up to 3.
            keys: Keys that are held meanwhile.
            timeout: Seconds to wait for the place.

        Returns:
            The screen's mark before the click; the guest reacts after it.
        """
        from ...acting.inputs import Click
        from .sending import send_one

        Click(button=button, count=count, keys=tuple(keys))  # checks them before the wait
        found = await self._locate("a click on", timeout)
        click = Click(*found.point, button, count, tuple(keys))
        return await send_one(self._screen.keyboard, self._screen.pointer, click)

    async def double_click(
        self, *, button: str = "left", timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Mark:
        """Wait for the place, and click it twice. Arguments and result as of `click`."""
        return await self.click(button=button, count=2, timeout=timeout)

    async def hover(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Mark:
        """Wait for the place, and move the pointer there. Result as of `click`."""
        found = await self._locate("a move to", timeout)
        return await self._screen.pointer.move(*found.point)

    async def drag_to(
        self, other: Locator, *, button: str = "left", timeout: Timeout = DEFAULT_TIMEOUT
    ) -> Mark:
        """Wait for both places, and drag from this one to the other. Result as of `click`.

        Args:
            other: The locator of the end.
            button: The name of the button.
            timeout: Seconds to wait for each of the two.
        """
        begin = await self._locate("a drag from", timeout)
        end = await other._locate("a drag to", timeout)
        return await self._screen.pointer.drag(begin.point, end.point, button=button)

    async def fill(
        self,
        text: str,
        *,
        layout: str = "us",
        select: str | None = "ctrl-a",
        timeout: Timeout = DEFAULT_TIMEOUT,
    ) -> Mark:
        """Wait for the place, click it, select its old text, and type a new one.

        Args:
            text: The new text; an empty one deletes the old text.
            layout: The guest's keyboard layout, as for `kju.Keyboard.type`.
            select: The chord that selects the old text; None keeps it.
            timeout: Seconds to wait for the place.

        Returns:
            The mark of the last input, as of `kju.Keyboard.type`.

        Raises:
            UsageError: The layout lacks characters, or the chord is unknown; nothing was sent.
        """
        from ...acting.inputs import Chord, Type

        Type(text, layout)  # checks them before the wait
        chord = None if select is None else Chord(select)
        found = await self._locate("a click to fill", timeout)
        screen = self._screen
        mark = await screen.pointer.click(*found.point)
        if chord is not None:
            mark = await screen.keyboard.chord(chord.numbers)
        if text:
            return await screen.keyboard.type(text, layout=layout)
        return mark if chord is None else await screen.keyboard.chord("delete")

    # ---- Questions

    async def wait(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Found:
        """Wait until the place is on the screen and holds still; return it."""
        return await self._locate("", timeout)

    async def all(self) -> list[Found]:
        """Return the places on the present screen, from the top; none is an empty list."""
        await self._screen._refresh()
        return await run_blocking(looks.find_places, self._screen, self._target)

    async def count(self) -> int:
        """Return the number of places on the present screen."""
        return len(await self.all())

    async def is_visible(self) -> bool:
        """Check whether a place is on the present screen."""
        return bool(await self.all())

    # ---- Waits

    async def _locate(self, action: str, timeout: Timeout) -> Found:
        """Wait for the only place."""
        from ...acting.locating import check_point

        what = f"{action} {self._target.words}".strip()
        (found,) = await self._wait(what, lambda number: number > 0, timeout, one=True)
        mode = self._screen.mode
        return check_point(found, mode.width, mode.height, self._target.words)

    async def _wait(
        self, what: str, enough: Callable[[int], bool], timeout: Timeout, *, one: bool = False
    ) -> tuple[Found, ...]:
        located = await run_blocking(looks.locate, self._target, what, enough, one)
        return await self._screen._wait(located, self._target.watched, timeout)


class Expectation:
    """Checks of a screen; `expect` returns it."""

    def __init__(self, locator: Locator) -> None:
        """Use `expect`."""
        self._locator = locator

    async def to_be_visible(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Found:
        """Wait until a place of the locator is on the screen; return the first.

        Raises:
            ExpectationError: None is, after the timeout.
        """
        found = await self._wait("to be visible", lambda number: number > 0, timeout)
        return found[0]

    async def not_to_be_visible(self, *, timeout: Timeout = DEFAULT_TIMEOUT) -> None:
        """Wait until no place of the locator is on the screen.

        Raises:
            ExpectationError: One is, after the timeout.
        """
        await self._wait("not to be visible", lambda number: number == 0, timeout)

    async def to_have_count(self, count: int, *, timeout: Timeout = DEFAULT_TIMEOUT) -> None:
        """Wait until a number of places of the locator are on the screen.

        Raises:
            ExpectationError: It is another number, after the timeout.
            UsageError: *count* is not a whole number from 0.
        """
        from ...acting.locating import check_count

        wanted = check_count(count)
        words = f"to be there {wanted} times"
        await self._wait(words, lambda number: number == wanted, timeout)

    async def _wait(
        self, words: str, enough: Callable[[int], bool], timeout: Timeout
    ) -> tuple[Found, ...]:
        from ...acting.locating import ExpectationError
        from ...vision.timeout import ScreenTimeoutError

        try:
            return await self._locator._wait(
                f"{self._locator._target.words} {words}", enough, timeout
            )
        except ScreenTimeoutError as error:
            raise ExpectationError.of(error) from None


def expect(locator: Locator) -> Expectation:
    """Return the checks of a locator.

    For example ``expect(screen.text("login:")).to_be_visible()``. Each waits until it is true and
    the screen holds still there. A failed one raises `kju.acting.ExpectationError`, an
    ``AssertionError``, so that test runners report a failure.
    """
    return Expectation(locator)
