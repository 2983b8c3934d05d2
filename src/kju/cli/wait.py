"""`kju wait`, and `kju needle`, which makes the pictures that `kju wait --image` searches for."""

from __future__ import annotations

import contextlib
import json as json_format
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..client.targets import attach_to_look, is_address, open_surface, screen_of
from ..errors import FileError, GeometryError, UsageError, WaitTimeoutError
from ..escaping import one_line
from ..surface.geometry import Rect
from ..vision.areas import rect_text
from ..vision.needle import SIMILARITY, Needle, check_needle_path, decode, read_picture
from ..vision.timeout import ScreenTimeoutError
from .command import AnyTarget, Console, Json, running_machines

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ..client.surface import Surface


class _Condition(NamedTuple):
    """The condition of a wait: one of the first five fields, and its details.

    Attributes:
        text: A text on the screen.
        images: Needles' paths.
        stable: Seconds without a change; negative if not wanted.
        change: Any change.
        colour: A colour.
        region: The rectangle to search, as four numbers; empty is the whole screen.
        ignore: _Areas that may change, for *stable*.
        similarity: Least similarity of an image; 0 is the needle's own.
        share: Share of the region that has the colour.
        tolerance: Largest difference of a colour.
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


_Areas = Annotated[
    list[str] | None,
    typer.Option(metavar="X,Y,W,H", help="With --stable: area that may change; may be repeated."),
]


def wait(
    name: AnyTarget = "",
    text: Annotated[
        str, typer.Option(metavar="TEXT", help="Wait until TEXT is on the screen.")
    ] = "",
    image: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PNG",
            help="Wait until this picture (see `kju needle`) is found; may be repeated.",
        ),
    ] = None,
    stable: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            show_default=False,
            help="Wait until nothing has changed for SECONDS.",
        ),
    ] = -1,
    change: Annotated[bool, typer.Option("--change", help="Wait until any pixel changes.")] = False,
    colour: Annotated[
        str,
        typer.Option(
            "--colour", "--color", metavar="COLOUR", help="Wait for a colour: #rrggbb or a name."
        ),
    ] = "",
    region: Annotated[
        str, typer.Option(metavar="X,Y,W,H", help="Search only in this rectangle.")
    ] = "",
    ignore: _Areas = None,
    similarity: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            show_default=False,
            help="With --image: least similarity (1: equal; default: the needle's).",
        ),
    ] = 0,
    share: Annotated[
        float,
        typer.Option(metavar="SHARE", help="With --colour: share of the pixels (1: all)."),
    ] = 1,
    tolerance: Annotated[
        int, typer.Option(metavar="N", help="With --colour: largest difference, 0 to 255.")
    ] = 0,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="Time limit (0: none).")
    ] = 60,
    save_on_timeout: Annotated[
        str,
        typer.Option(
            metavar="PNG",
            help="On a timeout, write the last screen, with marks, to PNG.",
        ),
    ] = "",
    console: Console = 0,
    json: Json = False,
) -> None:
    """Wait until the screen shows something, and print its position.

    With --stable, a blinking text cursor does not count as a change.
    """
    wanted = _Condition(
        text,
        image or (),
        stable,
        change,
        colour,
        region,
        ignore or (),
        similarity,
        share,
        tolerance,
    )
    _wait_and_print(name, wanted, console, timeout, save_on_timeout, json)


def _wait_and_print(
    target: str, wanted: _Condition, console: int, timeout: float, save: str, as_json: bool
) -> None:
    """Wait, and print the result.

    Raises:
        UsageError: Not exactly one condition is given.
        WaitTimeoutError: The time limit passed; the screen is in *save*, if given.
    """
    given = (wanted.text, wanted.images, wanted.stable >= 0, wanted.change, wanted.colour)
    if sum(map(bool, given)) != 1:
        raise UsageError("use exactly one of: --text, --image, --stable, --change, --colour")
    began = time.monotonic()
    with _opened_surface(target, console) as surface:
        try:
            found = _wait(surface, wanted, timeout or None)
        except ScreenTimeoutError as error:
            raise WaitTimeoutError(f"{error}; {_save_screen(error, save)}") from error
    found["seconds"] = round(time.monotonic() - began, 3)
    print(json_format.dumps(found) if as_json else one_line(_line(found)), flush=True)


def _save_screen(error: ScreenTimeoutError, path: str) -> str:
    """Save the last screen, if a path is given, and return a message about it."""
    if error.frame is None:
        return "there is no picture to save"
    if not path:
        return "to save the last screen use --save-on-timeout PNG"
    try:
        error.save(path)
    except FileError as unsaved:
        return str(unsaved)
    return f"the last screen is in {path}"


def _wait(surface: Surface, wanted: _Condition, timeout: float | None) -> dict[str, Any]:
    """Return the result as data with stable names."""
    region = _rectangle(wanted.region, "--region") if wanted.region else None
    where = region
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
    ignore = [_rectangle(area, "--ignore") for area in wanted.ignore]
    surface.wait_stable(wanted.stable, where, timeout=timeout, ignore=ignore)
    return {"what": "stable", "still": wanted.stable}


def _line(found: dict[str, Any]) -> str:
    """Return the result as one line."""
    parts = [str(found.get(found["what"], found["what"]))]
    if "still" in found:
        parts = [f"still for {found['still']:g} s"]
    places = found.get("rects") or ([found["rect"]] if "rect" in found else [])
    parts += [rect_text(Rect(*place)) for place in places]
    if "score" in found:
        parts.append(f"score {found['score']:.3f}")
    return "  ".join(" ".join(part.split()) for part in parts)


@contextlib.contextmanager
def _opened_surface(target: str, console: int) -> Iterator[Surface]:
    """Open the screen of a machine, or the surface at a path."""
    if is_address(target):
        with open_surface(target) as surface:
            yield surface
        return
    with attach_to_look(target, or_address=True) as machine:
        screen = screen_of(machine, console)
        screen.refresh()
        yield screen


def _numbers(text: str, count: int, option: str) -> tuple[int, ...]:
    """Parse whole numbers with commas between them.

    Raises:
        GeometryError: The text is not that.
    """
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count:
        names = "X,Y,WIDTH,HEIGHT" if count == 4 else "X,Y"
        raise GeometryError(f"{option} is {names} in pixels, not {text!r}")
    return found


def _rectangle(text: str, option: str) -> Rect:
    """Parse a rectangle.

    Raises:
        GeometryError: The text is not a rectangle, or the rectangle has no pixel of a screen.
    """
    x, y, width, height = _numbers(text, 4, option)
    found = Rect(x, y, width, height)
    if found.x < 0 or found.y < 0 or found.width < 1 or found.height < 1:
        raise GeometryError(
            f"{option} {text}: width and height must be 1 or more, x and y 0 or more"
        )
    return found


def _place(text: str) -> Rect:
    """Parse the place of a click, as a rectangle of one pixel."""
    x, y = _numbers(text, 2, "--click")
    return Rect(x, y, 1, 1)


def needle(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A machine, a surface's path, or a PNG.",
            autocompletion=running_machines,
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="PNG", help="File of the needle.")
    ],
    at: Annotated[str, typer.Option(metavar="X,Y,W,H", help="Rectangle to cut out.")],
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y,W,H", help="Rectangle to ignore; may be repeated."),
    ] = None,
    click: Annotated[
        str, typer.Option(metavar="X,Y", help="Place to click (default: the middle).")
    ] = "",
    similarity: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            show_default=False,
            help="Least similarity of a match (default: 0.95).",
        ),
    ] = 0,
    console: Console = 0,
) -> None:
    """Cut out a picture for `kju wait --image` to search for.

    All areas and the click are in pixels of the screen.
    """
    check_needle_path(output)
    where = _rectangle(at, "--at")
    areas = [_rectangle(area, "--exclude") for area in exclude or ()]
    place = _place(click) if click else None
    # Errors have the options as they were typed: `Needle` knows positions in the needle only.
    inner = [("--exclude", text, area) for text, area in zip(exclude or (), areas, strict=True)]
    if place is not None:
        inner.append(("--click", click, place))
    for option, text, area in inner:
        if not where.contains(area):
            raise GeometryError(f"{option} {text} is outside the rectangle --at {at}")
    picture = _picture(name, console)
    height, width = picture.shape[:2]
    if not Rect(0, 0, width, height).contains(where):
        raise GeometryError(f"--at {at} is outside the picture ({width}x{height})")
    made = Needle.cut(
        picture,
        where,
        exclude=areas,
        click=None if place is None else (place.x, place.y),
        similarity=similarity or SIMILARITY,
    )
    made.save(output)
    width, height = made.size
    share = made.mask.mean() * 100
    print(f"{output}: {width}x{height} pixels, {share:.0f} % of them compared", file=sys.stderr)


def _picture(source: str, console: int) -> npt.NDArray[np.uint8]:
    """Return the pixels to cut from: B G R X."""
    import numpy as np

    if source.lower().endswith(".png"):
        pixels, _ = decode(read_picture(Path(source)), source)
        return np.dstack((pixels, np.zeros(pixels.shape[:2], np.uint8)))
    with _opened_surface(source, console) as surface:
        return np.array(surface.frame(pixels="bgrx"))
