"""`kju mcp`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .. import extras
from ..errors import UsageError
from ..protocol.values import ROLES, Role
from .command import running_machines

if TYPE_CHECKING:
    from ..agents.mcp.session import ToolSession


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
    launch: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Let the model start machines from the images in FOLDER."
        ),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Serve over HTTP at HOST:PORT of this computer, or at unix:PATH (default:"
            " standard input and output).",
        ),
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Token for HTTP; made if missing (default: mcp-token in kju's configuration).",
        ),
    ] = None,
) -> None:
    """Let a model see and drive machines, over MCP.

    A client such as Claude Code starts this command, and talks to it on its standard input and
    output. With --listen the command serves several clients over HTTP until Ctrl+C.
    """
    extras.require("agents", "an MCP server")
    if role not in ROLES:
        raise UsageError(f"--role is {' or '.join(ROLES)}, not {role!r}")
    known: Role = "view" if role == "view" else "control"
    for option, folder in (("--images", images), ("--launch", launch)):
        if folder is not None and not folder.is_dir():
            raise UsageError(f"{option}: {folder} is not a folder")
    if launch is not None and known == "view":
        raise UsageError("--launch starts machines, and --role view may not: leave out one of them")
    if serial and known == "view":
        raise UsageError("--serial needs the control role: leave out --serial or --role view")
    if token_file is not None and not listen:
        raise UsageError("--token-file is for HTTP: add --listen 127.0.0.1:PORT or unix:PATH")
    from ..agents.mcp.session import ToolSession

    chosen = frozenset(names) if names else None
    session = ToolSession(
        known, images=images, serial=serial, names=chosen, launch=launch, remote=bool(listen)
    )
    if listen:
        _serve_http(session, listen, token_file)
        return
    from ..agents.mcp.server import serve_stdio

    asyncio.run(serve_stdio(session))


def _serve_http(session: ToolSession, address: str, token_file: Path | None) -> None:
    """Serve over HTTP until a signal arrives; print the address and the file of the token."""
    from ..agents.mcp import http, listening

    file = token_file or listening.token_file()
    where = listening.parse_address(address)
    secret = listening.read_token(file)
    listener = listening.listen(where)

    def ready() -> None:
        print(f"serving MCP at {listener.url}", flush=True)
        print(f"header: Authorization: Bearer TOKEN, with the token in {file}", flush=True)

    asyncio.run(http.serve_http(session, listener, secret, ready))
