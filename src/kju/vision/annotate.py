"""The picture of a wait that timed out: the screen, what was looked for, and what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..escaping import one_line
from ..surface.geometry import Rect
from .looking import cut_out

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from .timeout import ScreenTimeoutError

_YELLOW, _RED, _BLUE, _CYAN = (255, 200, 0), (255, 60, 60), (90, 150, 255), (0, 190, 200)
_GROUND, _INK = (32, 32, 36), (235, 235, 235)
_MARGIN = 12
_LINE = 16
_LETTER = 7  # Pillow's own font at 12 pixels: about as wide
_NARROWEST = 640


def annotated(error: ScreenTimeoutError) -> Image:
    """Draw the last frame with its notes."""
    from PIL import Image, ImageDraw

    frame = _rgb(error.frame) if error.frame is not None else np.zeros((120, 320, 3), np.uint8)
    height, width = frame.shape[:2]
    side = _side(error)
    beside = max((image.width for _, image in side), default=0)
    whole = max(width + (beside + _MARGIN * 2 if side else 0), _NARROWEST)
    lines = _wrapped(str(error), (whole - 2 * _MARGIN) // _LETTER)
    top = _MARGIN + _LINE * len(lines) + _MARGIN // 2
    tall = sum(image.height + _LINE + _MARGIN for _, image in side)
    canvas = Image.new("RGB", (whole, top + max(height, tall)), _GROUND)
    canvas.paste(Image.fromarray(frame), (0, top))
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN // 2 + number * _LINE), line, fill=_INK, font=_font())
    _marks(draw, error, Rect(0, top, width, height))
    y = top
    for words, image in side:
        draw.text((width + _MARGIN, y), words, fill=_INK, font=_font())
        canvas.paste(image, (width + _MARGIN, y + _LINE))
        y += image.height + _LINE + _MARGIN
    return canvas


def _marks(draw: ImageDraw, error: ScreenTimeoutError, screen: Rect) -> None:
    best = error.best
    if error.region is not None:
        _frame(draw, error.region, screen, _YELLOW)
    for rect in error.ignored:
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
        words = "" if best.score is None else f"{best.score:.3f}"
        left, top, _, bottom = _corners(best.rect, screen)
        above = top - _LINE if top - _LINE >= screen.y else bottom + 2
        box = draw.textbbox((left, above), words, font=_font())
        draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), fill=_GROUND)
        draw.text((left, above), words, fill=_RED, font=_font())


def _side(error: ScreenTimeoutError) -> list[tuple[str, Image]]:
    """The needle, and what the screen has in its place."""
    from PIL import Image

    best = error.best
    if best.needle is None or best.rect is None or error.frame is None:
        return []
    wanted = best.needle.pixels[..., ::-1].copy()
    wanted[~best.needle.mask] //= 3
    found = _rgb(cut_out(error.frame, best.rect))
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
    """A rectangle of the screen on the canvas, cut to it."""
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


def _font() -> Any:  # noqa: ANN401  Pillow's has no name that all of its versions know
    from PIL import ImageFont

    return ImageFont.load_default(12)
