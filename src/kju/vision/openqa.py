"""Needles of openQA: a JSON file that names areas of a screenshot beside it.

All areas of type ``match`` make one needle: the rectangle around them, of which nothing else
counts. They are looked for together, where os-autoinst lets each move by its margin alone. Areas
of type ``exclude`` do not count, and neither do those of type ``ocr``, which it reads as text.

Source:
    os-autoinst, ``needle.pm``: the fields of an area.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from ..errors import NeedleError, UsageError
from ..surface.geometry import Rect, bounding
from .looking import cut_out
from .needle import SIMILARITY, Needle, decode

#: Bytes of the JSON file, and its areas; openQA's have a few. Between the areas of one needle lie
#: as many rectangles as the square of their number.
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
    match: float = SIMILARITY * 100
    click_point: _Point | Literal["center"] | None = None


class _File(msgspec.Struct):
    area: list[_Area]


def needle_of(notes: bytes, picture: bytes, notes_name: str, picture_name: str) -> Needle:
    """A needle from the bytes of its two files.

    Raises:
        NeedleError: They are none; the error names the file and the field.
    """
    try:
        file = msgspec.json.decode(notes, type=_File, strict=False)  # written by Perl
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NeedleError(f"{notes_name}: {error}", notes_name, "area") from error
    if len(file.area) > MAX_AREAS:
        why = f"there are {len(file.area)}, and at most {MAX_AREAS} are taken"
        raise NeedleError(f"{notes_name}: area: {why}", notes_name, "area")
    pixels, _ = decode(picture, picture_name)
    whole = Rect(0, 0, pixels.shape[1], pixels.shape[0])
    rects = [Rect(a.xpos, a.ypos, a.width, a.height) for a in file.area]
    for number, rect in enumerate(rects):
        if not whole.contains(rect) or rect.width <= 0 or rect.height <= 0:
            why = f"{tuple(rect)} leaves the {whole.width}x{whole.height} picture"
            raise NeedleError(f"{notes_name}: area[{number}]: {why}", notes_name, f"area[{number}]")
    both = list(zip(file.area, rects, strict=True))
    matches = [(area, rect) for area, rect in both if area.type == "match"]
    if not matches:
        raise NeedleError(f"{notes_name}: area: none is of type match", notes_name, "area")
    around = bounding(rect for _, rect in matches)
    shown = np.zeros(pixels.shape[:2], bool)
    for _, rect in matches:
        cut_out(shown, rect)[...] = True
    for area, rect in both:
        if area.type != "match":
            cut_out(shown, rect)[...] = False
    try:
        return Needle(
            np.ascontiguousarray(cut_out(pixels, around)),
            exclude=tuple(_hidden(cut_out(shown, around))),
            click=_click(matches, around),
            similarity=min(area.match for area, _ in matches) / 100,
            cut_from=around,
            name=Path(notes_name).stem,
        )
    except (UsageError, ValueError, OverflowError) as error:
        # The latter two: numbers may have been written as "nan" or "inf".
        raise NeedleError(f"{notes_name}: {error}", notes_name, "area") from error


def _click(matches: list[tuple[_Area, Rect]], around: Rect) -> tuple[int, int]:
    """Where to click, in the needle: as an area says, else in the middle of the last one."""
    for area, rect in matches:
        if isinstance(area.click_point, _Point):
            x, y = rect.x + int(area.click_point.xpos), rect.y + int(area.click_point.ypos)
            return x - around.x, y - around.y
    marked = [rect for area, rect in matches if area.click_point == "center"]
    rect = (marked or [rect for _, rect in matches])[-1]
    return rect.x + rect.width // 2 - around.x, rect.y + rect.height // 2 - around.y


def _hidden(shown: np.ndarray) -> list[Rect]:
    """Rectangles that cover exactly the False pixels: runs of rows that are alike."""
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
