"""Parser of openQA's needles: a JSON file with areas of the screenshot beside it.

All areas of type ``match`` make one needle: their bounding rectangle, of which only the areas
count. They are searched together; os-autoinst lets each move by its own margin. Areas of type
``exclude`` do not count, and neither do those of type ``ocr``, which os-autoinst reads as text.

Source:
    os-autoinst, ``needle.pm``: the fields of an area.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
import numpy as np

from ..errors import NeedleError
from ..surface.geometry import Rect, bounding
from .areas import cut_out

#: Bytes of the JSON file, and its areas; openQA's have a few. The number of rectangles between the
#: areas grows with the square of their number.
MAX_BYTES, MAX_AREAS = 1 << 20, 256


class _Point(msgspec.Struct):
    xpos: float
    ypos: float


class _Area(msgspec.Struct):
    xpos: int
    ypos: int
    width: int
    height: int
    type: Literal["match", "exclude", "ocr"] = "match"
    match: float | None = None
    click_point: _Point | Literal["center"] | None = None


class _NeedleFile(msgspec.Struct):
    area: list[_Area]


class OpenqaNeedle(NamedTuple):
    """One needle of openQA.

    Attributes:
        rect: The needle in the screenshot.
        exclude: Rectangles of the needle that do not count.
        click: The pixel of the needle to click.
        similarity: The similarity that a place must have.
    """

    rect: Rect
    exclude: tuple[Rect, ...]
    click: tuple[int, int]
    similarity: float


def parse(notes: bytes, width: int, height: int, name: str, similarity: float) -> OpenqaNeedle:
    """Parse a needle's JSON file.

    Args:
        notes: The file.
        width: Of the screenshot.
        height: Of the screenshot.
        name: The file's name, for errors.
        similarity: Of areas that name none.

    Raises:
        NeedleError: The file is invalid; the error names the file and the field.
    """
    try:
        file = msgspec.json.decode(notes, type=_NeedleFile, strict=False)  # written by Perl
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NeedleError(f"{name}: {error}", name, "area") from error
    if len(file.area) > MAX_AREAS:
        why = f"{len(file.area)} areas; the limit is {MAX_AREAS}"
        raise NeedleError(f"{name}: area: {why}", name, "area")
    whole = Rect(0, 0, width, height)
    rects = [Rect(a.xpos, a.ypos, a.width, a.height) for a in file.area]
    for number, rect in enumerate(rects):
        if not whole.contains(rect) or rect.width <= 0 or rect.height <= 0:
            why = f"{tuple(rect)} leaves the {width}x{height} picture"
            raise NeedleError(f"{name}: area[{number}]: {why}", name, f"area[{number}]")
    both = list(zip(file.area, rects, strict=True))
    matches = [(area, rect) for area, rect in both if area.type == "match"]
    if not matches:
        raise NeedleError(f"{name}: area: no area is of type match", name, "area")
    around = bounding(rect for _, rect in matches)
    shown = np.zeros((height, width), bool)
    for _, rect in matches:
        cut_out(shown, rect)[...] = True
    for area, rect in both:
        if area.type != "match":
            cut_out(shown, rect)[...] = False
    try:
        click = _click(matches, around)
    except (ValueError, OverflowError) as error:  # "nan" and "inf" are numbers in Perl's JSON
        raise NeedleError(f"{name}: {error}", name, "area") from error
    percents = [similarity * 100 if area.match is None else area.match for area, _ in matches]
    return OpenqaNeedle(around, tuple(_hidden(cut_out(shown, around))), click, min(percents) / 100)


def _click(matches: list[tuple[_Area, Rect]], around: Rect) -> tuple[int, int]:
    """Return the click point in the needle: an area's own, else the middle of the last area."""
    for area, rect in matches:
        if isinstance(area.click_point, _Point):
            x, y = rect.x + int(area.click_point.xpos), rect.y + int(area.click_point.ypos)
            return x - around.x, y - around.y
    marked = [rect for area, rect in matches if area.click_point == "center"]
    rect = (marked or [rect for _, rect in matches])[-1]
    return rect.x + rect.width // 2 - around.x, rect.y + rect.height // 2 - around.y


def _hidden(shown: np.ndarray) -> list[Rect]:
    """Return rectangles that cover exactly the False pixels, one or more per run of equal rows."""
    found: list[Rect] = []
    top = 0
    for row in range(1, shown.shape[0] + 1):
        if row < shown.shape[0] and np.array_equal(shown[row], shown[top]):
            continue
        edges = np.flatnonzero(
            np.diff(np.concatenate(([True], shown[top], [True])).astype(np.int8))
        )
        for left, right in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            found.append(Rect(left, top, right - left, row - top))
        top = row
    return found
