"""The commands about screens on the network: names, options and help, and nothing else."""

from __future__ import annotations

from typing import Annotated

import typer

from ..wire.codecs import CODECS
from .command import Command

app = typer.Typer()

Listen = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST:PORT", help="Accept connections here (default: this computer only)."
    ),
]
Connect = Annotated[
    list[str] | None,
    typer.Option(metavar="HOST:PORT", help="Connect to a sender or a router there."),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow screens and keys to leave unencrypted.")
]


@app.command(cls=Command)
def serve(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Running machines; see `kju ls`.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Serve every machine, also those started later.")
    ] = False,
    listen: Listen = None,
    connect: Connect = None,
    prefix: Annotated[
        str,
        typer.Option(
            metavar="PREFIX", help="Put PREFIX before machine names (default: the host name)."
        ),
    ] = "",
    insecure: Insecure = False,
) -> None:
    """Serve machines' screens on the network until Ctrl-C."""
    from .network import Reach, serve

    serve(names or [], everything, prefix, Reach(listen or [], connect or [], insecure))


@app.command(cls=Command)
def mirror(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as zenoh:lab/host1/debian.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The mirror's name.")] = "",
    connect: Connect = None,
    view: Annotated[bool, typer.Option("--view", help="Send no input.")] = False,
    audience: Annotated[
        bool, typer.Option("--audience", help="Send no input; share one stream with other viewers.")
    ] = False,
    user: Annotated[str, typer.Option(help="Your user name there; see `kju cert take`.")] = "",
    insecure: Insecure = False,
    lossy: Annotated[
        bool,
        typer.Option(
            "--lossy/--lossless", help="Photographs as JPEG first, and exact when they rest."
        ),
    ] = False,
    codec: Annotated[
        str, typer.Option(metavar="CODEC", help=f"{', '.join(CODECS)} (default: fewest bytes).")
    ] = "",
    sender: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Accept only this host as its sender (default: the one known)."
        ),
    ] = "",
) -> None:
    """Mirror a screen that is served elsewhere, as a machine here."""
    from .network import Reach, Way, mirror

    way = Way(audience, lossy, codec)
    mirror(address, name, view, way, Reach([], connect or [], insecure, user), sender)


@app.command(cls=Command)
def router(
    listen: Listen = None,
    connect: Connect = None,
    insecure: Insecure = False,
) -> None:
    """Forward messages between senders and viewers until it is ended."""
    from .network import Reach, router

    router(Reach(listen or [], connect or [], insecure))


certificates = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(
    certificates, name="cert", help="Make and show keys and certificates for the network."
)


@certificates.command(cls=Command)
def authority(
    name: Annotated[str, typer.Argument(help="The authority's name.")] = "kju",
) -> None:
    """Make an authority of your own: your computers and users trust what it signs."""
    from .certificates import authority

    authority(name)


@certificates.command(cls=Command)
def host(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS", help="Names and addresses others connect to."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A file for another computer, to be kept secret.")
    ] = "",
) -> None:
    """Make this computer's certificate, to serve with, or another computer's."""
    from .certificates import host

    host(addresses or [], output)


@certificates.command("router", cls=Command)
def router_certificate(
    addresses: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS", help="Names and addresses others connect to."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A file for another computer, to be kept secret.")
    ] = "",
) -> None:
    """Make a router's certificate, for this computer or another. It cannot serve screens."""
    from .certificates import host

    host(addresses or [], output, "router")


@certificates.command(cls=Command)
def deny(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="SHA256:..., or the file of its certificate.")
    ],
) -> None:
    """Deny a key of a host or a user here, though its certificate is valid."""
    from .certificates import deny

    deny(key)


@certificates.command(cls=Command)
def sender(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as zenoh:lab/host1/debian.")
    ] = "",
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its sender's name.")] = "",
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its sender's key: SHA256:...")] = "",
    forget: Annotated[
        bool, typer.Option("--forget", help="Trust the next sender, as at first use.")
    ] = False,
) -> None:
    """List the senders of the screens mirrored here, or accept another sender of one."""
    from .certificates import sender

    sender(address, name, key, forget)


@certificates.command(cls=Command)
def user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user.")],
    output: Annotated[
        str, typer.Option("--output", "-o", help="A file for the user, to be kept secret.")
    ],
) -> None:
    """Make a user's key, into a file that the user takes with `kju cert take`."""
    from .certificates import user

    user(name, output)


@certificates.command(cls=Command)
def take(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The file that `kju cert` has made for you.")
    ],
) -> None:
    """Keep a key that was made for you or this computer; the file may be removed then."""
    from .certificates import take

    take(file)


@certificates.command(cls=Command)
def show() -> None:
    """List the certificates here, until when they are valid, and their keys."""
    from .certificates import show

    show()


@app.command(cls=Command)
def trust(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A user.")] = "",
    role: Annotated[str, typer.Option(help="The user's role: view or control.")] = "",
    remove: Annotated[
        bool, typer.Option("--remove", help="End the user's sessions, and deny the key.")
    ] = False,
) -> None:
    """List the users here, or let one view or control the machines served here."""
    from .certificates import trust

    trust(name, role, remove)
