"""Waiting from a script: `kju wait`, and cutting the needles that it looks for, `kju needle`."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..client.targets import attach_to_look, is_address, open_surface, screen_of
from ..errors import GeometryError, UsageError
from ..escaping import one_line
from ..surface.geometry import Rect
from ..vision.areas import rect_text
from ..vision.needle import SIMILARITY, Needle, decode, read_picture
from ..vision.timeout import ScreenTimeoutError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..client.surface import Surface


class Wanted(NamedTuple):
    """What to wait for; one of the first five is given.

    Attributes:
        text: A text to be read.
        images: Needles' paths.
        stable: Seconds without a change; under 0 is not asked for.
        change: Any change.
        colour: A colour.
        region: Where, as four numbers; empty is everywhere.
        ignore: What may change, for *stable*.
        similarity: How alike an image must be; 0 is as the needle says.
        share: How much of the region has the colour.
        tolerance: How much a colour may differ.
    """

    text: str
    images: Sequence[str]
    stable: float
    change: bool
    colour: str
    region: str
    ignore: Sequence[str]
    similarity: float
    share: float
    tolerance: int


def wait(
    target: str, wanted: Wanted, console: int, timeout: float, save: str, as_json: bool
) -> None:
    """Wait, and say what came.

    Raises:
        UsageError: Not exactly one thing is waited for.
        ScreenTimeoutError: It did not come; its picture is in *save*, if that is given.
    """
    given = (wanted.text, wanted.images, wanted.stable >= 0, wanted.change, wanted.colour)
    if sum(map(bool, given)) != 1:
        raise UsageError("say one thing to wait for: --text, --image, --stable, --change, --colour")
    began = time.monotonic()
    with _opened(target, console) as surface:
        try:
            found = _wait(surface, wanted, timeout or None)
        except ScreenTimeoutError as error:
            if save:
                error.save(save)
            raise
    found["seconds"] = round(time.monotonic() - began, 3)
    print(json.dumps(found) if as_json else one_line(_line(found)), flush=True)


def _wait(surface: Surface, wanted: Wanted, timeout: float | None) -> dict[str, Any]:
    """What came, as data whose names are stable."""
    region = numbers(wanted.region, 4, "--region") if wanted.region else None
    where = None if region is None else Rect(*region)
    if wanted.text:
        text = surface.wait_text(wanted.text, where, timeout=timeout)
        return {"what": "text", "text": text.text, "rect": list(text.rect)}
    if wanted.images:
        match = surface.wait_image(
            list(wanted.images), where, timeout=timeout, similarity=wanted.similarity or None
        )
        return {
            "what": "image",
            "image": wanted.images[match.number],
            "rect": list(match.rect),
            "score": round(match.score, 4),
            "click": list(match.click),
        }
    if wanted.change:
        change = surface.wait_change(where, timeout=timeout)
        return {"what": "change", "rects": [list(rect) for rect in change.rects]}
    if wanted.colour:
        surface.wait_colour(
            wanted.colour, where, timeout=timeout, share=wanted.share, tolerance=wanted.tolerance
        )
        return {"what": "colour", "colour": wanted.colour}
    ignore = [Rect(*numbers(area, 4, "--ignore")) for area in wanted.ignore]
    surface.wait_stable(wanted.stable, where, timeout=timeout, ignore=ignore)
    return {"what": "stable", "still": wanted.stable}


def _line(found: dict[str, Any]) -> str:
    """The same as one line."""
    parts = [str(found.get(found["what"], found["what"]))]
    if "still" in found:
        parts = [f"still for {found['still']:g} s"]
    places = found.get("rects") or ([found["rect"]] if "rect" in found else [])
    parts += [rect_text(Rect(*place)) for place in places]
    if "score" in found:
        parts.append(f"score {found['score']:.3f}")
    return "  ".join(" ".join(part.split()) for part in parts)


def needle(
    source: str,
    output: str,
    at: str,
    exclude: Sequence[str],
    click: str,
    similarity: float,
    console: int,
) -> None:
    """Cut a needle from a screen, a surface or a PNG, and save it.

    Raises:
        UsageError: An area leaves the picture it should lie in.
    """
    made = Needle.cut(
        _picture(source, console),
        Rect(*numbers(at, 4, "--at")),
        exclude=[Rect(*numbers(area, 4, "--exclude")) for area in exclude],
        click=(numbers(click, 2, "--click")[0], numbers(click, 2, "--click")[1]) if click else None,
        similarity=similarity or SIMILARITY,
    )
    made.save(output)
    width, height = made.size
    print(f"{output}  {width}x{height}  {made.mask.mean():.0%} of it counts", file=sys.stderr)


def _picture(source: str, console: int) -> npt.NDArray[np.uint8]:
    """What to cut from: B G R X."""
    import numpy as np

    if source.lower().endswith(".png"):
        pixels, _ = decode(read_picture(Path(source)), source)
        return np.dstack((pixels, np.zeros(pixels.shape[:2], np.uint8)))
    with _opened(source, console) as surface:
        return np.array(surface.frame(pixels="bgrx"))


@contextlib.contextmanager
def _opened(target: str, console: int) -> Iterator[Surface]:
    if is_address(target):
        with open_surface(target) as surface:
            yield surface
        return
    with attach_to_look(target, or_address=True) as machine:
        screen = screen_of(machine, console)
        screen.refresh()
        yield screen


def numbers(text: str, count: int, option: str) -> tuple[int, ...]:
    """Whole numbers with commas between them.

    Raises:
        UsageError: They are not.
    """
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        names = "X,Y,WIDTH,HEIGHT" if count == 4 else "X,Y"
        raise GeometryError(f"{option} is {names} in pixels, not {text!r}")
    return found
