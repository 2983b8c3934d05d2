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
from ..errors import GeometryError, UsageError
from ..escaping import one_line
from ..surface.geometry import Rect
from ..vision.areas import rect_text
from ..vision.needle import SIMILARITY, Needle, decode, read_picture
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
        str, typer.Option(metavar="PNG", help="Save the last screen with notes to PNG.")
    ] = "",
    console: Console = 0,
    json: Json = False,
) -> None:
    """Wait until the screen shows something, and print its place.

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
        ScreenTimeoutError: The time limit passed; the screen is in *save*, if given.
    """
    given = (wanted.text, wanted.images, wanted.stable >= 0, wanted.change, wanted.colour)
    if sum(map(bool, given)) != 1:
        raise UsageError("use exactly one of: --text, --image, --stable, --change, --colour")
    began = time.monotonic()
    with _opened_surface(target, console) as surface:
        try:
            found = _wait(surface, wanted, timeout or None)
        except ScreenTimeoutError as error:
            if save:
                error.save(save)
            raise
    found["seconds"] = round(time.monotonic() - began, 3)
    print(json_format.dumps(found) if as_json else one_line(_line(found)), flush=True)


def _wait(surface: Surface, wanted: _Condition, timeout: float | None) -> dict[str, Any]:
    """Return the result as data with stable names."""
    region = _numbers(wanted.region, 4, "--region") if wanted.region else None
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
    ignore = [Rect(*_numbers(area, 4, "--ignore")) for area in wanted.ignore]
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
    made = Needle.cut(
        _picture(name, console),
        Rect(*_numbers(at, 4, "--at")),
        exclude=[Rect(*_numbers(area, 4, "--exclude")) for area in exclude or ()],
        click=(_numbers(click, 2, "--click")[0], _numbers(click, 2, "--click")[1])
        if click
        else None,
        similarity=similarity or SIMILARITY,
    )
    made.save(output)
    width, height = made.size
    print(f"{output}  {width}x{height}  {made.mask.mean():.0%} of it counts", file=sys.stderr)


def _picture(source: str, console: int) -> npt.NDArray[np.uint8]:
    """Return the pixels to cut from: B G R X."""
    import numpy as np

    if source.lower().endswith(".png"):
        pixels, _ = decode(read_picture(Path(source)), source)
        return np.dstack((pixels, np.zeros(pixels.shape[:2], np.uint8)))
    with _opened_surface(source, console) as surface:
        return np.array(surface.frame(pixels="bgrx"))
