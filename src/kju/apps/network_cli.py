"""The commands about screens on the network: names, options and help, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from .command import Command

app = typer.Typer()

Listen = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST:PORT", help="Where others come; this computer only by default."),
]
Connect = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST:PORT", help="Where a sender or a router listens."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow screens and keys to leave unencrypted.")
]


@app.command(cls=Command)
def serve(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every machine, later ones too.")
    ] = False,
    listen: Listen = None,
    connect: Connect = None,
    prefix: Annotated[
        str, typer.Option(help="What stands before a machine's name; this computer's by default.")
    ] = "",
    insecure: Insecure = False,
) -> None:
    """Serve machines' screens on the network, until this ends."""
    from .network import Reach, serve

    serve(names or [], everything, prefix, Reach(listen or [], connect or [], insecure))


@app.command(cls=Command)
def mirror(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as zenoh:lab/host1/debian.")
    ],
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What to call the mirror.")] = "",
    connect: Connect = None,
    view: Annotated[bool, typer.Option("--view", help="Look only.")] = False,
    insecure: Insecure = False,
) -> None:
    """Mirror a screen that is served elsewhere, as a machine here."""
    from .network import Reach, mirror

    mirror(address, name, view, Reach([], connect or [], insecure))


@app.command(cls=Command)
def router(
    listen: Listen = None,
    connect: Connect = None,
    insecure: Insecure = False,
) -> None:
    """Hand on what senders and viewers say to each other, until this ends."""
    from .network import Reach, router

    router(Reach(listen or [], connect or [], insecure))
