"""The error of a wait that timed out."""

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
    """A condition on the screen was not met in time.

    Attributes:
        what: The condition, such as ``the text 'login:'``.
        timeout: The time limit, seconds.
        frame: The last frame, whole: B G R X; None without one.
        region: The rectangle that was searched; None is everything.
        ignored: Rectangles left out of it.
        best: The best match in that frame.
        looks: Number of frames that were searched.
        changed: Seconds since the screen's last change, and its place; None without a change.
        absent: The reason why there was no frame at the end; None where there was one.
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
        absent: str | None,
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
        """The text that was read last, in a wait for a text."""
        return self.best.text

    def _message(self) -> str:
        where = "" if self.region is None else f" in {rect_text(self.region)}"
        parts = [f"timed out after {self.timeout:g} s waiting for {self.what}{where}"]
        if self.absent is not None:
            parts.append(self.absent)
        if self.looks:
            parts.append("1 frame checked" if self.looks == 1 else f"{self.looks} frames checked")
        if self.best.words:
            parts.append(self.best.words)
        if self.changed is not None and self.looks:
            parts.append(f"last screen change {self.changed[0]:.1f} s ago")
        return "; ".join(parts) + ("" if self.frame is None else "; its picture can be saved")

    def save(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write a PNG of the last frame, with the searched needle and the best match.

        The region has a yellow frame, ignored areas are crossed out, and the best match has a red
        frame with its score. The needle and the pixels of the best match are beside the screen.

        Args:
            target: A path, or a binary file.

        Raises:
            FileError: It cannot be written; an old file is as it was.
        """
        image = annotated(self.frame, str(self), self.region, self.ignored, self.best)
        if not isinstance(target, (str, os.PathLike)):
            image.save(target, "PNG", compress_level=1)
            return
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=1)
        write_output(target, file.getvalue())

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling: errors are sent between processes (pools, test runners)."""
        return _restored, (dict(self.__dict__),)


def _restored(fields: dict[str, Any]) -> ScreenTimeoutError:
    names = ("what", "timeout", "frame", "region", "ignored", "best", "looks", "changed", "absent")
    return ScreenTimeoutError(**{name: fields[name] for name in names})
