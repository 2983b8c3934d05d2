"""The pictures of a program in this folder: their table, and the command line that takes them."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
from displays import ROOT, homes  # first: it says what is missing
from guest_machines import Machines
from PIL import Image

IMAGES = ROOT / "docs" / "images"


class Picture(NamedTuple):
    """One picture.

    Attributes:
        scene: Makes it: R, G, B, or the bytes of a PNG.
        options: Its arguments.
        page: Its name in docs/images; empty for a picture that the docs do not show.
    """

    scene: Callable[..., np.ndarray | bytes]
    options: dict[str, object]
    page: str = ""


def take(
    pictures: Mapping[str, Picture], prepare: Callable[[Machines, ExitStack], tuple[object, ...]]
) -> None:
    """Take the pictures that the command line names.

    Args:
        pictures: All pictures, by name.
        prepare: Returns the first arguments of every scene.
    """
    folder = Path(sys.argv[1]) if sys.argv[1:] else None
    for name in sys.argv[2:]:
        if name not in pictures:
            sys.exit(f"no picture {name!r}; there are: {', '.join(pictures)}")
    names = sys.argv[2:] or [name for name, one in pictures.items() if folder or one.page]
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= homes(Path(home))
        with Machines(Path(home)) as lab, ExitStack() as stack:
            given = prepare(lab, stack)
            for name in names:
                scene, options, page = pictures[name]
                picture = scene(*given, **options)
                _save(picture, folder / f"{name}.png" if folder else IMAGES / f"{page}.png")


def _save(picture: np.ndarray | bytes, path: Path) -> None:
    """Store a picture with a palette: windows have few colours."""
    if isinstance(picture, bytes):
        image = Image.open(io.BytesIO(picture)).convert("RGB")
    else:
        image = Image.fromarray(picture)
    if len(image.getcolors(1 << 24) or []) > 256:
        image = image.quantize(256, dither=Image.Dither.NONE)
    else:
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    image.save(path, optimize=True)
    print(path, flush=True)
