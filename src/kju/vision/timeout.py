"""The error of a wait whose time is over: what was there instead."""

from __future__ import annotations

import io
import os
from typing import IO, TYPE_CHECKING, Any

from ..errors import WaitTimeoutError
from ..files import write_output
from ..surface.geometry import Rect
from .annotate import Best, annotated
from .areas import rect_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class ScreenTimeoutError(WaitTimeoutError):
    """What was waited for did not show on the screen in time.

    Attributes:
        what: What was waited for.
        timeout: How long, seconds.
        frame: The last frame looked at, whole: B G R X; None if there was none.
        region: Where was looked; None is everywhere.
        ignored: What was left out of it.
        best: The nearest to it in that frame: a `Best`.
        looks: How many frames were looked at.
        changed: Seconds since the screen changed last, and where; None if it never did.
        absent: Why there was no frame to look at in the end, or empty.
    """

    def __init__(
        self,
        *,
        what: str,
        timeout: float,
        frame: npt.NDArray[np.uint8] | None,
        region: Rect | None,
        ignored: tuple[Rect, ...],
        best: Best,
        looks: int,
        changed: tuple[float, Rect] | None,
        absent: str,
    ) -> None:
        self.what = what
        self.timeout = timeout
        self.frame = frame
        self.region = region
        self.ignored = ignored
        self.best = best
        self.looks = looks
        self.changed = changed
        self.absent = absent
        super().__init__(self._message())

    @property
    def text(self) -> str | None:
        """What was read last, where text was waited for."""
        return self.best.text

    def _message(self) -> str:
        where = "" if self.region is None else f" in {rect_text(self.region)}"
        parts = [f"{self.what} did not come{where} within {self.timeout:g} s"]
        if self.absent:
            parts.append(self.absent)
        if self.looks:
            parts.append("one frame was looked at" if self.looks == 1 else f"{self.looks} looks")
        if self.best.words:
            parts.append(self.best.words)
        if self.changed is not None and self.looks:
            parts.append(f"the screen changed last {self.changed[0]:.1f} s ago")
        return "; ".join(parts) + ("" if self.frame is None else "; its picture can be saved")

    def save(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write a PNG of the last frame with what was looked for and what was found instead.

        The region is framed in yellow and what was ignored is crossed out; the best match has a
        red frame with its score, and the needle stands beside the screen, with what the frame has
        in its place.

        Args:
            target: A path, or a binary file.

        Raises:
            FileError: It can't be written; an old file is as it was.
        """
        image = annotated(self.frame, str(self), self.region, self.ignored, self.best)
        if not isinstance(target, (str, os.PathLike)):
            image.save(target, "PNG", compress_level=1)
            return
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        write_output(target, file.getvalue())

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes (a pool's, a test runner's)."""
        return _again, (dict(self.__dict__),)


def _again(fields: dict[str, Any]) -> ScreenTimeoutError:
    names = ("what", "timeout", "frame", "region", "ignored", "best", "looks", "changed", "absent")
    return ScreenTimeoutError(**{name: fields[name] for name in names})
