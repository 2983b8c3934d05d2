"""The error of a wait that timed out, and its picture: the screen, the needle, the best match."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import encoding
from ..errors import KjuError, WaitTimeoutError
from ..escaping import one_line
from ..files import write_output
from ..surface.geometry import Rect
from .areas import cut_out, rect_text

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from .needle import Needle

_YELLOW, _RED, _BLUE, _CYAN = (255, 200, 0), (255, 60, 60), (90, 150, 255), (0, 190, 200)
_BACKGROUND, _FOREGROUND = (32, 32, 36), (235, 235, 235)
_MARGIN = 12
_LINE_HEIGHT = 16
_LETTER_WIDTH = 7  # width of a letter of Pillow's own font at 12 pixels, about
_MIN_WIDTH = 640


class Best(NamedTuple):
    """The best match of a wait that timed out.

    Attributes:
        words: Its description, as the end of a message; None without a match.
        rect: Its place on the screen.
        score: Its similarity; 1.0 is equal.
        needle: The needle that it matches.
        text: The text that was read.
        places: More places that belong to it, such as those that were not still.
    """

    words: str | None = None
    rect: Rect | None = None
    score: float | None = None
    needle: Needle | None = None
    text: str | None = None
    places: tuple[Rect, ...] = ()


class ScreenError(KjuError):
    """An error about a screen's content, with a picture of it.

    Attributes:
        frame: The frame, whole: B G R X; None without one.
        region: The rectangle that was searched; None is everything.
        ignored: Rectangles left out of it.
        best: The best match in that frame.
    """

    frame: npt.NDArray[np.uint8] | None = None
    region: Rect | None = None
    ignored: tuple[Rect, ...] = ()
    best: Best = Best()
    #: True if the places of `best` are drawn with their numbers, from 0.
    numbered: bool = False

    def save(self, target: str | os.PathLike[str] | IO[bytes]) -> None:
        """Write a PNG of the frame, with the searched needle and the best match.

        The region has a yellow frame, ignored areas are crossed out, and the best match has a red
        frame with its score. Other places have a cyan frame. The needle and the pixels of the best
        match are beside the screen.

        Args:
            target: A path, or a binary file.

        Raises:
            FileError: It cannot be written; an old file is as it was.
        """
        image = _annotated(
            self.frame, str(self), self.region, self.ignored, self.best, numbered=self.numbered
        )
        data = encoding.png(np.asarray(image))
        if isinstance(target, (str, os.PathLike)):
            write_output(target, data)
        else:
            target.write(data)


class ScreenTimeoutError(ScreenError, WaitTimeoutError):
    """A condition on the screen was not met in time.

    Attributes:
        what: The condition, such as ``the text 'login:'``.
        timeout: The time limit, seconds.
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
        if self.best.words is not None:
            parts.append(self.best.words)
        if self.changed is not None and self.looks:
            parts.append(f"last screen change {self.changed[0]:.1f} s ago")
        return "; ".join(parts)

    @property
    def fields(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        names = ("what", "timeout", "frame", "region", "ignored", "best", "looks", "changed")
        return {name: getattr(self, name) for name in (*names, "absent")}

    def __reduce__(self) -> tuple[Any, ...]:
        """Support pickling: errors are sent between processes (pools, test runners)."""
        return _restored, (type(self), self.fields)


def _restored(kind: type[ScreenTimeoutError], fields: dict[str, Any]) -> ScreenTimeoutError:
    return kind(**fields)


def _annotated(
    pixels: npt.NDArray[np.uint8] | None,
    message: str,
    region: Rect | None,
    ignored: tuple[Rect, ...],
    best: Best,
    *,
    numbered: bool = False,
) -> Image:
    """Draw a frame with its notes.

    Args:
        pixels: The whole frame: B G R X, or one byte a pixel; None is an empty one.
        message: Text above it.
        region: The rectangle that was searched; None is everything.
        ignored: Rectangles left out of it.
        best: The best match.
        numbered: Draw the places of *best* with their numbers.
    """
    from PIL import Image, ImageDraw

    frame = _rgb(pixels) if pixels is not None else np.zeros((120, 320, 3), np.uint8)
    height, width = frame.shape[:2]
    side = _needle_and_match(pixels, best)
    beside = max((image.width for _, image in side), default=0)
    whole = max(width + (beside + _MARGIN * 2 if side else 0), _MIN_WIDTH)
    lines = _wrapped(message, (whole - 2 * _MARGIN) // _LETTER_WIDTH)
    top = _MARGIN + _LINE_HEIGHT * len(lines) + _MARGIN // 2
    tall = sum(image.height + _LINE_HEIGHT + _MARGIN for _, image in side)
    canvas = Image.new("RGB", (whole, top + max(height, tall)), _BACKGROUND)
    canvas.paste(Image.fromarray(frame), (0, top))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text(
            (_MARGIN, _MARGIN // 2 + number * _LINE_HEIGHT), line, fill=_FOREGROUND, font=_font()
        )
    screen = Rect(0, top, width, height)
    _draw_marks(draw, screen, region, ignored, best)
    for number, rect in enumerate(best.places if numbered else ()):
        _frame(draw, rect, screen, _RED, 2)
        _write_beside(draw, rect, screen, str(number), _FOREGROUND, _RED)
    y = top
    for words, image in side:
        draw.text((width + _MARGIN, y), words, fill=_FOREGROUND, font=_font())
        canvas.paste(image, (width + _MARGIN, y + _LINE_HEIGHT))
        y += image.height + _LINE_HEIGHT + _MARGIN
    return canvas


def _draw_marks(
    draw: ImageDraw, screen: Rect, region: Rect | None, ignored: tuple[Rect, ...], best: Best
) -> None:
    if region is not None:
        _frame(draw, region, screen, _YELLOW)
    for rect in ignored:
        _frame(draw, rect, screen, _BLUE)
        left, top, right, bottom = _corners(rect, screen)
        draw.line((left, top, right, bottom), fill=_BLUE)
        draw.line((left, bottom, right, top), fill=_BLUE)
    for rect in best.places:
        _frame(draw, rect, screen, _CYAN)
    if best.rect is not None:
        _frame(draw, best.rect, screen, _RED, 2)
        for hidden in best.needle.exclude if best.needle else ():
            moved = hidden._replace(x=hidden.x + best.rect.x, y=hidden.y + best.rect.y)
            _frame(draw, moved, screen, _BLUE)
        _write_beside(draw, best.rect, screen, "" if best.score is None else f"{best.score:.3f}")


def _write_beside(
    draw: ImageDraw,
    rect: Rect,
    screen: Rect,
    words: str,
    ink: tuple[int, int, int] = _RED,
    paper: tuple[int, int, int] = _BACKGROUND,
) -> None:
    """Write above a rectangle of the screen, or below it where the room is too small."""
    left, top, _, bottom = _corners(rect, screen)
    above = top - _LINE_HEIGHT if top - _LINE_HEIGHT >= screen.y else bottom + 2
    box = draw.textbbox((left, above), words, font=_font())
    draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), fill=paper)
    draw.text((left, above), words, fill=ink, font=_font())


def _needle_and_match(pixels: npt.NDArray[np.uint8] | None, best: Best) -> list[tuple[str, Image]]:
    """Return pictures of the needle and of the best match, with their titles."""
    from PIL import Image

    if best.needle is None or best.rect is None or pixels is None:
        return []
    wanted = best.needle.pixels[..., ::-1].copy()
    wanted[~best.needle.mask] //= 3
    found = _rgb(cut_out(pixels, best.rect))
    return [
        (f"wanted: {best.needle.name}", Image.fromarray(wanted)),
        ("found", Image.fromarray(found)),
    ]


def _rgb(pixels: np.ndarray) -> np.ndarray:
    plain = np.asarray(pixels)
    if plain.ndim == 2:
        return np.repeat(plain[..., np.newaxis], 3, 2)
    return np.ascontiguousarray(plain[..., 2::-1])


def _corners(rect: Rect, screen: Rect) -> tuple[int, int, int, int]:
    """Return the corners of a screen rectangle on the canvas, cut to the screen."""
    left, right = (min(max(x, 0), screen.width) for x in (rect.x, rect.right))
    top, bottom = (min(max(y, 0), screen.height) for y in (rect.y, rect.bottom))
    return screen.x + left, screen.y + top, screen.x + right - 1, screen.y + bottom - 1


def _frame(
    draw: ImageDraw, rect: Rect, screen: Rect, colour: tuple[int, int, int], width: int = 1
) -> None:
    left, top, right, bottom = _corners(rect, screen)
    if left <= right and top <= bottom:
        draw.rectangle((left, top, right, bottom), outline=colour, width=width)


def _wrapped(message: str, letters: int) -> list[str]:
    import textwrap

    return textwrap.wrap(one_line(" ".join(message.split())), max(letters, 20))[:8]


def _font() -> Any:  # noqa: ANN401  Pillow's versions have different names for its type
    from PIL import ImageFont

    return ImageFont.load_default(12)
