"""`kju needle`: make the pictures that `kju wait --image` searches for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..surface.geometry import Rect
from ..vision.needle import SIMILARITY, Needle, decode, read_picture
from .parameters import Console, running_machines
from .wait import numbers, opened_surface

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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
        Rect(*numbers(at, 4, "--at")),
        exclude=[Rect(*numbers(area, 4, "--exclude")) for area in exclude or ()],
        click=(numbers(click, 2, "--click")[0], numbers(click, 2, "--click")[1]) if click else None,
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
    with opened_surface(source, console) as surface:
        return np.array(surface.frame(pixels="bgrx"))
