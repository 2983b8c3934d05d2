"""Waiting for what the screen shows, for asyncio: looks are taken on threads."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import WaitTimeoutError
from ...surface import NOTHING_TAKEN, Change, Mark
from ...surface.formats import PixelFormat
from ...surface.geometry import Area, Rect
from ..base import SurfaceBase
from ..frame import Frame, converted
from ..timeouts import DEFAULT_TIMEOUT, Timeout, seconds_of
from ..waits import look, look_once, read_once, shows, watch_for
from ..witness import witnessed

if TYPE_CHECKING:
    from ...vision.looking import Condition
    from ...vision.match import Match
    from ...vision.text import Text, TextMatch
    from ..waits import OneNeedle

T = TypeVar("T")


class Waits(SurfaceBase):
    """What a surface can be waited for to show: see `kju.client.waits.Waits`.

    A look runs on a thread, since it may copy, compare, match and read; the event loop turns
    meanwhile. Whatever comes while it runs causes one more look. A wait may be cancelled: a look
    that runs goes on to its end, and nobody waits for it.
    """

    if TYPE_CHECKING:

        async def wait(
            self, since: Mark | None = None, *, timeout: Timeout = DEFAULT_TIMEOUT
        ) -> Change:
            """As `kju.Surface.wait`."""

    async def wait_change(
        self,
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        since: Mark | None = None,
    ) -> Change:
        """As `kju.Surface.wait_change`."""
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
        """As `kju.Surface.wait_stable`."""
        from ...vision.pixels import Still

        rects = [Rect(*area) for area in ignore]
        frame = await self._wait(Still(seconds, rects), region, timeout)
        return converted(frame, pixels)  # type: ignore[arg-type]  # what it looked at is a frame

    async def wait_image(
        self,
        needle: OneNeedle | Sequence[OneNeedle],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        similarity: float | None = None,
    ) -> Match:
        """As `kju.Surface.wait_image`."""
        condition = await asyncio.to_thread(shows, needle, region, similarity)
        return await self._wait(condition, region, timeout)

    async def wait_text(
        self,
        text: str | re.Pattern[str],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        language: str = "eng",
    ) -> TextMatch:
        """As `kju.Surface.wait_text`."""
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
        """As `kju.Surface.wait_colour`."""
        from ...vision.pixels import Coloured

        condition = Coloured(colour, share, tolerance)
        frame = await self._wait(condition, region, timeout)
        return converted(frame, pixels)  # type: ignore[arg-type]  # what it looked at is a frame

    async def wait_for(
        self,
        predicate: Callable[[Frame], T],
        region: Area | None = None,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        pixels: PixelFormat = "rgb",
    ) -> T:
        """As `kju.Surface.wait_for`; the function is called on a thread."""
        from ...vision.pixels import Holds

        def holds(part: Any) -> T:  # noqa: ANN401  a frame, whose type vision does not know
            return predicate(converted(part, pixels))

        return await self._wait(Holds(holds), region, timeout)

    async def find_image(
        self,
        needle: OneNeedle | Sequence[OneNeedle],
        region: Area | None = None,
        *,
        similarity: float | None = None,
    ) -> Match | None:
        """As `kju.Surface.find_image`."""

        def find() -> Match | None:
            return look_once(self, shows(needle, region, similarity), region)

        return await asyncio.to_thread(find)

    async def read_text(self, region: Area | None = None, *, language: str = "eng") -> Text:
        """As `kju.Surface.read_text`."""
        return await asyncio.to_thread(read_once, self, region, language)

    async def _newest(self) -> None:
        """Have what is known elsewhere published, so that the first look is no older."""

    async def _wait(
        self,
        condition: Condition[T],
        region: Area | None,
        timeout: Timeout,
        since: Mark = NOTHING_TAKEN,
    ) -> T:
        from ...vision import looking

        seconds = seconds_of(timeout, self.default_timeout)
        watch = watch_for(condition, region, seconds, since)
        with witnessed(self._witnesses, watch):
            await self._newest()
            while True:
                step = watch.next(time.monotonic())
                match step:
                    case looking.Look():
                        await asyncio.to_thread(look, self, watch)
                    case looking.Sleep(seconds, None):
                        await asyncio.sleep(seconds or 0.0)
                    case looking.Sleep(seconds, mark):
                        with contextlib.suppress(WaitTimeoutError):
                            watch.changed(await self.wait(mark, timeout=seconds))
                    case looking.Found():
                        return step.result
                    case looking.TimedOut(error):
                        raise error
