"""The app: `kju desktop`."""

from __future__ import annotations

from typing import Annotated

import typer

from .command import running_machines


def desktop(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Running machines to open in tabs (default: none).",
            show_default=False,
            autocompletion=running_machines,
        ),
    ] = None,
) -> None:
    """Show all machines in one window, and use them there.

    Closing the window leaves the machines running. A second `kju desktop` raises the window of the
    first.
    """
    from ..desktop.qt.app import show_desktop  # Qt takes 0.2 s to import

    show_desktop(names or [])
