"""The medium in a machine's CD drive: `kju cd`."""

from __future__ import annotations

from typing import Annotated

import typer

from ..client.launching import attach
from ..errors import UsageError
from ..escaping import one_line
from .command import Name


def cd(
    name: Name,
    image: Annotated[
        str, typer.Argument(metavar="ISO", help="The image of a CD; see also --eject.")
    ] = "",
    eject: Annotated[bool, typer.Option("--eject", help="Leave the drive empty.")] = False,
) -> None:
    """Change the CD in a running machine's drive, or eject it.

    The CD stays in the drive when the guest restarts.
    """
    if bool(image) == eject:
        raise UsageError("give an ISO image, or --eject (not both)")
    with attach(name) as machine:
        machine.change_cd(image or None)
    print(one_line(f"{name}: {image} is in the CD drive" if image else f"{name}: CD ejected"))
