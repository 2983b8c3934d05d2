"""Waits for the contents of a screen, for asyncio.

`kju.vision` has the conditions and the times of the checks; a wait reads the clock and sleeps.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import WaitTimeoutError
from ...surface import NOTHING_TAKEN, Change, Mark
from ...surface.formats import PixelFormat
from ...surface.geometry import Area, Rect
from .. import looks
from ..consumer.frame import Frame, converted
from ..link import DEFAULT_TIMEOUT, Timeout, seconds_of
from .waiting import SleepingSurface, run_blocking, sleep

if TYPE_CHECKING:
    from ...vision.looking import Condition
    from ...vision.match import Match
    from ...vision.text import Text, TextMatch

T = TypeVar("T")


class Waits(SleepingSurface):
    """The waits of a surface.

    Every wait checks the screen at once, and again when damage touches its region; there is no
    polling. A check sees one published version exactly, unless the producer leaves no time for that
    in a second. Then some tiles are of neighbouring versions, as in a plain `kju.Surface.frame`,
    and their damage causes the next check. A region outside the screen is valid: the guest may be
    about to set a larger mode.

    With asyncio a check runs on a thread. A cancelled wait ends at once; its check runs to its end.

    All raise `kju.vision.ScreenTimeoutError`, a `WaitTimeoutError`, after their timeout;
    `ProducerGoneError` or `MachineGoneError` when the machine ends; and `UsageError` for an invalid
    value.
    """

    #: Called after every wait for this surface, in the waiting thread.
    _witnesses: tuple[looks.Witness, ...] = ()

    if TYPE_CHECKING:

        async def wait(
            self, since: Mark | None = None, *, timeout: Timeout = DEFAULT_TIMEOUT
        ) -> Change:
            """Wait for a change: see `kju.Surface.wait`."""

    async def wait_change(
        self,
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        since: Mark | None = None,
    ) -> Change:
        """Wait until pixels differ from the present ones.

        Args:
            region: Area in pixels; the whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            since: A mark to begin at in place of now. The pixels of that time are unknown, so all
                tiles count that have changed since.

        Returns:
            The rectangles that differ, and the mark of the frame that differs.
        """
        from ...vision.pixels import Changed

        return await self._wait(Changed(since), region, timeout, since or NOTHING_TAKEN)

    async def wait_stable(
        self,
        seconds: float,
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        ignore: Iterable[Area] = (),
        pixels: PixelFormat = "rgb",
    ) -> Frame:
        """Wait until the pixels have not changed for *seconds*.

        A blinking text cursor does not count as a change: one place of at most 32x64 pixels that
        alternates between two pictures. *seconds* must be more than half of its period.

        Args:
            seconds: Time without a change; it begins with this call at the earliest.
            region: Area in pixels; the whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            ignore: Rectangles that may change at any time, such as a clock.
            pixels: Order of the channels, as for `kju.Surface.frame`.

        Returns:
            The region's pixels.
        """
        from ...vision.pixels import Still

        rects = [Rect(*area) for area in ignore]
        frame = await self._wait(Still(seconds, rects), region, timeout)
        return converted(frame, pixels)  # type: ignore[arg-type]  # the condition got a frame

    async def wait_image(
        self,
        needle: looks.OneNeedle | Sequence[looks.OneNeedle],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        similarity: float | None = None,
    ) -> Match:
        """Wait until a needle is on the screen.

        Args:
            needle: A needle's path, a `kju.vision.Needle`, or a frame; or several of them, of which
                the first one on the screen is returned.
            region: Area in pixels; the whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            similarity: 1.0 means equal pixels. By default the needle's own similarity, which is
                0.95 unless it was made with another.

        Returns:
            The needle, its place, and the place to click.

        Raises:
            NeedleError: A file is not a needle.
            OSError: A file can't be read.
            MissingError: OpenCV is not installed.
        """
        condition = await run_blocking(looks.image_condition, needle, region, similarity)
        return await self._wait(condition, region, timeout)

    async def wait_text(
        self,
        text: str | re.Pattern[str],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        language: str = "eng",
    ) -> TextMatch:
        """Wait until the screen shows a text.

        A text console is read exactly; Tesseract recognises the text of other screens. Without
        Tesseract only text consoles are read; the error of a timeout names it.

        Args:
            text: The text, as for `kju.vision.Text.find`.
            region: Area in pixels; the whole screen by default. A small one is read faster.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            language: Tesseract's name of the language to expect.

        Returns:
            The text and its place.
        """
        from ...vision.ocr import Reads

        return await self._wait(Reads(text, language), region, timeout)

    async def wait_colour(
        self,
        colour: str | tuple[int, int, int],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        share: float = 1.0,
        tolerance: int = 0,
        pixels: PixelFormat = "rgb",
    ) -> Frame:
        """Wait until pixels have a colour.

        Args:
            colour: ``"#rrggbb"``, a name of CSS, or red, green and blue.
            region: Area in pixels; the whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            share: Part of the region's pixels, above 0 and up to 1.
            tolerance: Allowed difference of each of red, green and blue, 0 to 255.
            pixels: Order of the channels, as for `kju.Surface.frame`.

        Returns:
            The region's pixels.
        """
        from ...vision.pixels import Coloured

        condition = Coloured(colour, share, tolerance)
        frame = await self._wait(condition, region, timeout)
        return converted(frame, pixels)  # type: ignore[arg-type]  # the condition got a frame

    async def wait_for(
        self,
        predicate: Callable[[Frame], T],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        pixels: PixelFormat = "rgb",
    ) -> T:
        """Wait until a function of the pixels is true.

        Args:
            predicate: Called with the region's pixels whenever they change; with asyncio on a
                thread.
            region: Area in pixels; the whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            pixels: Order of the channels, as for `kju.Surface.frame`; ``bgrx`` needs no conversion.

        Returns:
            The first true result of *predicate*.
        """
        from ...vision.pixels import Holds

        def holds(part: Any) -> T:  # noqa: ANN401  a frame, whose type vision does not know
            return predicate(converted(part, pixels))

        return await self._wait(Holds(holds), region, timeout)

    async def find_image(
        self,
        needle: looks.OneNeedle | Sequence[looks.OneNeedle],
        region: Area | None = None,
        *,
        similarity: float | None = None,
    ) -> Match | None:
        """Find a needle on the present screen; None if it is absent. Arguments as for `wait_image`.

        Raises:
            GeometryError: *region* leaves the surface.
            UnavailableError: There is no picture.
        """
        if self._must_publish():
            await self._publish()
        return await run_blocking(looks.find_image, self, needle, region, similarity)

    async def read_text(self, region: Area | None = None, *, language: str = "eng") -> Text:
        """Read the text on the present screen, with the places of lines and words.

        Args:
            region: Area in pixels; the whole screen by default.
            language: Tesseract's name of the language to expect.

        Raises:
            GeometryError: *region* leaves the surface.
            UnavailableError: There is no picture.
            MissingError: The screen is not a text console, and Tesseract is not installed.
        """
        if self._must_publish():
            await self._publish()
        return await run_blocking(looks.read_text, self, region, language)

    async def _refresh(self) -> None:
        """Have the producer publish all that it knows. A screen asks its host."""

    def _must_publish(self) -> bool:
        """Check whether only the producer can see the newest pixels. A screen overrides this."""
        return False

    async def _publish(self) -> None:
        """Have such pixels published. A screen asks its host."""

    async def _wait(
        self,
        condition: Condition[T],
        region: Area | None,
        timeout: Timeout,
        since: Mark = NOTHING_TAKEN,
        *,
        refreshes: bool = True,
    ) -> T:
        from ...vision import looking

        seconds = seconds_of(timeout, self.default_timeout)
        watch = looks.watch_for(condition, region, seconds, since)
        with looks.witnessed(self._witnesses, watch):
            if refreshes:
                await self._refresh()
            while True:
                step = watch.next(time.monotonic())
                match step:
                    case looking.Look():
                        if condition.needs_all:
                            await self._publish()
                        await run_blocking(looks.check, self, watch)
                    case looking.Sleep(pause, None):
                        await sleep(pause or 0.0)
                    case looking.Sleep(pause, mark):
                        with contextlib.suppress(WaitTimeoutError):
                            watch.changed(await self.wait(mark, timeout=pause))
                    case looking.Met():
                        return step.result
                    case looking.TimedOut(error):
                        raise error
