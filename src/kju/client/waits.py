"""Waiting for what the screen shows, for programs with threads.

`kju.vision` has the conditions and the times of the checks; this module reads the clock and sleeps.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..errors import InconsistentError, UnavailableError, WaitTimeoutError
from ..surface import NOTHING_TAKEN, Change, Mark
from ..surface.formats import PixelFormat
from ..surface.geometry import Area, Rect
from .base import SurfaceBase
from .frame import Frame, converted
from .timeouts import DEFAULT_TIMEOUT, Timeout, seconds_of
from .witness import witnessed

if TYPE_CHECKING:
    from ..vision.looking import Condition, Watch
    from ..vision.match import Match
    from ..vision.needle import Needle
    from ..vision.text import Text, TextMatch

    OneNeedle: TypeAlias = Needle | str | os.PathLike[str] | Frame

T = TypeVar("T")


class Waits(SurfaceBase):
    """What a surface can be waited for to show.

    Every wait looks at once, and then when damage touches its region; nothing is polled. A look
    sees one published version exactly, unless the producer leaves no time for that in a second:
    then some tiles are of versions beside it, as in a plain `kju.Surface.frame`, and their
    damage causes the next look. A region that leaves the screen is waited for too: a guest may be
    about to set a larger mode.

    All raise `kju.vision.ScreenTimeoutError`, a `WaitTimeoutError`, when their time is
    over; `ProducerGoneError` or `MachineGoneError` when nothing more will come; `UsageError` for
    what cannot be.
    """

    if TYPE_CHECKING:

        def wait(self, since: Mark | None = None, *, timeout: Timeout = DEFAULT_TIMEOUT) -> Change:
            """As `kju.Surface.wait`."""

    def wait_change(
        self,
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        since: Mark | None = None,
    ) -> Change:
        """Wait until pixels differ from what they are now.

        Args:
            region: Where; everywhere by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            since: A mark to begin at in place of now. What the screen showed then is not known any
                more, so whole tiles count that have changed since.

        Returns:
            The rectangles that differ, and the mark of the frame that does.
        """
        from ..vision.pixels import Changed

        return self._wait(Changed(since), region, timeout, since or NOTHING_TAKEN)

    def wait_stable(
        self,
        seconds: float,
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        ignore: Iterable[Area] = (),
        pixels: PixelFormat = "rgb",
    ) -> Frame:
        """Wait until the pixels have not changed for *seconds*.

        A text cursor that blinks is no change: one place of at most 32x64 pixels that goes to and
        fro between two pictures. *seconds* must be more than half its period to see that it does.

        Args:
            seconds: How long, from this call on at the earliest.
            region: Where; everywhere by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            ignore: Rectangles that may change all the time, a clock for example.
            pixels: Order of the channels, as for `kju.Surface.frame`.

        Returns:
            The region's pixels.
        """
        from ..vision.pixels import Still

        rects = [Rect(*area) for area in ignore]
        frame = self._wait(Still(seconds, rects), region, timeout)
        return converted(frame, pixels)  # type: ignore[arg-type]  # what it looked at is a frame

    def wait_image(
        self,
        needle: OneNeedle | Sequence[OneNeedle],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        similarity: float | None = None,
    ) -> Match:
        """Wait until a needle is on the screen.

        Args:
            needle: What to look for: a needle's path, a `kju.vision.Needle`, or a frame; or
                several, of which the first that is there is found.
            region: Where; everywhere by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            similarity: 1.0 is equal to the last pixel; by default what the needle says, which is
                0.95 unless it was made with another.

        Returns:
            Which needle, where, and where to click.

        Raises:
            NeedleError: A file is no needle.
            OSError: A file can't be read.
            MissingError: OpenCV is not installed.
        """
        return self._wait(shows(needle, region, similarity), region, timeout)

    def wait_text(
        self,
        text: str | re.Pattern[str],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        language: str = "eng",
    ) -> TextMatch:
        """Wait until a text can be read on the screen.

        A text console is read exactly; anything else is recognised by Tesseract. Where that is not
        installed, only text consoles count, and the error in the end says so.

        Args:
            text: What to find, as `kju.vision.Text.find` does.
            region: Where; everywhere by default. A small one is faster to recognise.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            language: Tesseract's name of the language to expect.

        Returns:
            The text and where it is.

        """
        from ..vision.ocr import Reads

        return self._wait(Reads(text, language), region, timeout)

    def wait_colour(
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
            region: Where; everywhere by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            share: Of the region's pixels, over 0 to 1.
            tolerance: How much each of red, green and blue may differ, 0 to 255.
            pixels: Order of the channels, as for `kju.Surface.frame`.

        Returns:
            The region's pixels.
        """
        from ..vision.pixels import Coloured

        condition = Coloured(colour, share, tolerance)
        frame = self._wait(condition, region, timeout)
        return converted(frame, pixels)  # type: ignore[arg-type]  # what it looked at is a frame

    def wait_for(
        self,
        predicate: Callable[[Frame], T],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        pixels: PixelFormat = "rgb",
    ) -> T:
        """Wait until a function of the pixels is true.

        Args:
            predicate: Called with the region's pixels whenever they change.
            region: Area in pixels; the whole screen by default.
            timeout: Seconds; None for no limit. The default is `default_timeout`.
            pixels: Order of the channels, as for `kju.Surface.frame`; ``bgrx`` needs no conversion.

        Returns:
            The first true result of *predicate*.
        """
        from ..vision.pixels import Holds

        def holds(part: Any) -> T:  # noqa: ANN401  a frame, whose type vision does not know
            return predicate(converted(part, pixels))

        return self._wait(Holds(holds), region, timeout)

    def find_image(
        self,
        needle: OneNeedle | Sequence[OneNeedle],
        region: Area | None = None,
        *,
        similarity: float | None = None,
    ) -> Match | None:
        """As `wait_image`, now: None where no needle is.

        Raises:
            GeometryError: *region* leaves the surface.
            UnavailableError: There is no picture.
        """
        return look_once(self, shows(needle, region, similarity), region)

    def read_text(self, region: Area | None = None, *, language: str = "eng") -> Text:
        """Read what the screen shows now, with the places of lines and words.

        Args:
            region: Where; everywhere by default.
            language: Tesseract's name of the language to expect.

        Raises:
            GeometryError: *region* leaves the surface.
            UnavailableError: There is no picture.
            MissingError: The screen is no text console, and Tesseract is not installed.
        """
        return read_once(self, region, language)

    def _newest(self) -> None:
        """Have what is known elsewhere published, so that the first look is no older."""

    def _wait(
        self,
        condition: Condition[T],
        region: Area | None,
        timeout: Timeout,
        since: Mark = NOTHING_TAKEN,
    ) -> T:
        from ..vision import looking

        seconds = seconds_of(timeout, self.default_timeout)
        watch = watch_for(condition, region, seconds, since)
        with witnessed(self._witnesses, watch):
            self._newest()
            while True:
                step = watch.next(time.monotonic())
                match step:
                    case looking.Look():
                        look(self, watch)
                    case looking.Sleep(seconds, None):
                        time.sleep(seconds or 0.0)
                    case looking.Sleep(seconds, mark):
                        with contextlib.suppress(WaitTimeoutError):
                            watch.changed(self.wait(mark, timeout=seconds))
                    case looking.Found():
                        return step.result
                    case looking.TimedOut(error):
                        raise error


# ---- What both forms of the API do


def watch_for(
    condition: Condition[T], region: Area | None, timeout: float | None, since: Mark = NOTHING_TAKEN
) -> Watch[T]:
    """Begin a wait now."""
    from ..vision.looking import Watch

    where = None if region is None else Rect(*region)
    return Watch(condition, where, timeout, time.monotonic(), since)


def look(surface: SurfaceBase, watch: Watch[T]) -> None:
    """Check the newest frame. Takes as long as the condition does."""
    before = surface.mark
    try:
        frame = newest_frame(surface)
    except UnavailableError as error:
        watch.absent(str(error), before, time.monotonic())
        return
    assert frame.mode is not None  # noqa: S101  what a surface makes has one
    mark = Mark(frame.incarnation, frame.mode.epoch, frame.version)
    change = surface.changes_since(watch.mark)
    watch.check(frame, frame.mode, mark, change, time.monotonic())


def newest_frame(surface: SurfaceBase) -> Frame:
    """A frame of one version; of a producer that never rests, tiles of neighbouring ones."""
    try:
        return surface._copy_frame(consistent=True)
    except InconsistentError:
        return surface._copy_frame()


def shows(
    needle: OneNeedle | Sequence[OneNeedle], region: Area | None, similarity: float | None
) -> Condition[Match]:
    """The condition of `Waits.wait_image`."""
    from ..vision.match import Shows
    from ..vision.needle import needles_of

    return Shows(needles_of(needle), None if region is None else Rect(*region), similarity)


def look_once(surface: SurfaceBase, condition: Condition[T], region: Area | None) -> T | None:
    """Whether a condition holds now."""
    from ..vision.looking import Seen

    frame, where = _whole_and_part(surface, region)
    assert frame.mode is not None  # noqa: S101  what a surface makes has one
    mark = Mark(frame.incarnation, frame.mode.epoch, frame.version)
    return condition.check(Seen(frame, where, None, time.monotonic(), mark, frame.mode))


def read_once(surface: SurfaceBase, region: Area | None, language: str) -> Text:
    """Read a part of a screen now."""
    from ..vision.ocr import read

    frame, where = _whole_and_part(surface, region)
    return read(frame, where, language)


def _whole_and_part(surface: SurfaceBase, region: Area | None) -> tuple[Frame, Rect]:
    from ..errors import GeometryError
    from ..vision.areas import check_rect

    frame = surface._copy_frame()
    whole = Rect(0, 0, frame.shape[1], frame.shape[0])
    where = whole if region is None else check_rect(region, "the region")
    if not whole.contains(where):
        raise GeometryError(f"{where} leaves the {whole.width}x{whole.height} surface")
    return frame, where
