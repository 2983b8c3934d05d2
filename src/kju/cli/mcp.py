"""`kju mcp`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from .. import extras
from ..errors import UsageError
from ..protocol.values import ROLES, Role
from .command import running_machines


def mcp(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Machines that may be used (default: all that run); see `kju ls`.",
            autocompletion=running_machines,
        ),
    ] = None,
    role: Annotated[
        str,
        typer.Option(metavar="ROLE", help="view (no input) or control.", case_sensitive=False),
    ] = "control",
    images: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Offer the PNG needles of FOLDER to wait_image."),
    ] = None,
    serial: Annotated[
        bool, typer.Option("--serial", help="Let the model read the serial port.")
    ] = False,
) -> None:
    """Let a model see and drive machines, over MCP.

    A client such as Claude Code starts this command, and talks to it on its standard input and
    output.
    """
    extras.require("agents", "an MCP server")
    if role not in ROLES:
        raise UsageError(f"--role is {' or '.join(ROLES)}, not {role!r}")
    if images is not None and not images.is_dir():
        raise UsageError(f"--images: {images} is not a folder")
    from ..agents.mcp.server import serve_stdio
    from ..agents.mcp.session import ToolSession

    known: Role = "view" if role == "view" else "control"
    session = ToolSession(
        known, images=images, serial=serial, names=frozenset(names) if names else None
    )
    asyncio.run(serve_stdio(session))
