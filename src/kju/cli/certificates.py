"""`kju cert` and `kju trust`: keys, certificates and users."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..client.requests import check_role
from ..errors import UsageError
from ..escaping import one_line
from ..files import read_file, write_output
from ..remote import addresses, certificates
from ..remote.certificates import Kind
from ..remote.key_lists import KnownSender, KnownSenders, is_fingerprint
from ..remote.trust import Trust, default_folder
from .command import group
from .output import print_table

#: Bytes of a key with its certificate and its authority's.
_MAX_BUNDLE = 1 << 20

Addresses = Annotated[
    list[str] | None,
    typer.Argument(metavar="ADDRESS", help="Names and addresses that clients connect to."),
]
KeyFile = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="FILE", help="Secret file for another computer (default: here)."
    ),
]


def _here() -> Trust:
    return Trust(default_folder())


def authority(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the authority.")] = "kju",
) -> None:
    """Make a certificate authority.

    Your computers and users trust the keys that it signs.
    """
    made = _here()
    made.make_authority(name)
    print(
        f"{made.folder}/authority.key signs every certificate: its owner can impersonate anybody."
        " Keep it on a computer that serves nothing, offline if possible"
    )


def host(addresses: Addresses = None, output: KeyFile = "") -> None:
    """Make a sender's certificate, for this computer or another."""
    _make_certificate(addresses or [], output, "host")


def router(addresses: Addresses = None, output: KeyFile = "") -> None:
    """Make a router's certificate, for this computer or another.

    A router cannot serve screens with it.
    """
    _make_certificate(addresses or [], output, "router")


def web(addresses: Addresses = None) -> None:
    """Make the certificate of this computer's `kju web`.

    It is signed by its own key: import the file into browsers, or compare the fingerprint that they
    show.
    """
    name = socket.gethostname()
    file = _here().make_web(addresses or [name, "localhost", "127.0.0.1"])
    print(f"{file}\nSHA-256 {certificates.sha256(certificates.read(file.read_bytes()))}")


def _make_certificate(addresses: Sequence[str], output: str, kind: Kind) -> None:
    """Make a certificate here, or one for another computer in a file."""
    made, name = _here(), socket.gethostname()
    if not output:
        made.make_host(name, addresses or [name, "localhost", "127.0.0.1"], kind)
        print(f"{made.folder}/{kind}.pem")
        return
    if not addresses:
        raise UsageError("give the names and addresses of that computer that clients connect to")
    write_output(output, made.host_bundle(addresses[0], addresses, kind), mode=0o600, replace=False)
    print(f"{output} is for {addresses[0]}: kju cert take {Path(output).name}")


def user(
    name: Annotated[str, typer.Argument(metavar="USER", help="Name of the user.")],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Secret file for the user.")
    ],
) -> None:
    """Make a user's key, in a file for `kju cert take`."""
    made = _here()
    bundle = made.user_bundle(name)
    try:
        write_output(output, bundle, mode=0o600, replace=False)
    except BaseException:
        # Otherwise the user would exist without a file, and could not be made again.
        made.forget(name)
        raise
    print(f"{output} is for {name}: kju cert take {Path(output).name}")
    if name not in made.roles():
        print(f"to admit {name} here: kju trust {name} --role view, or control")


def take(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A file that `kju cert` made for you.")
    ],
) -> None:
    """Install a key made for you or for this computer.

    Its file can be removed afterwards.
    """
    made = _here()
    name, kind = made.import_bundle(read_file(file, _MAX_BUNDLE))
    if kind != "user":
        use = "kju router" if kind == "router" else "kju serve"
        print(f"{made.folder}/{kind}.key; this computer is {one_line(name)}: {use}")
    else:
        words = f"{made.folder}/user-{name}.key; use it with: kju mirror ADDRESS --user {name}"
        print(one_line(words))


def show() -> None:
    """List the certificates here, with expiry dates and keys."""
    rows = [("file", "name", "valid until", "key")]
    rows += [(stem, name, f"{last:%Y-%m-%d}", key) for stem, name, last, key in _here().listed()]
    print_table(rows)


def deny(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="SHA256:..., or the file of its certificate.")
    ],
) -> None:
    """Reject a host's or a user's key.

    This computer rejects it even while its certificate is valid.
    """
    name = ""
    if not key.startswith("SHA256:"):
        try:
            certificate = certificates.read(read_file(key, _MAX_BUNDLE))
        except OSError as error:
            raise UsageError(
                f"{key} cannot be read: {error.strerror}; name a certificate's file or SHA256:..."
            ) from None
        if certificates.kind_of(certificate) == "router":
            raise UsageError(
                f"{key} is a router's certificate, and denying its key would have no effect:"
                " viewers and senders see each other's keys, and none of the routers between them."
                " Connect to another router, and block this one's address in the firewall"
            )
        key, name = certificates.fingerprint(certificate), certificates.name_of(certificate)
    _here().deny(key, name)
    print(f"{key} is denied here")


def sender(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="Such as zenoh:lab/host1/debian.")
    ] = "",
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of its sender.")] = "",
    key: Annotated[str, typer.Argument(metavar="KEY", help="Key of its sender: SHA256:...")] = "",
    forget: Annotated[
        bool, typer.Option("--forget", help="Trust the next sender, as at first use.")
    ] = False,
) -> None:
    """List the senders of screens mirrored here, or accept one."""
    known = KnownSenders(_here().folder)
    if not address:
        rows = [("screen", "sender", "key")]
        rows += [(screen, each.name, each.key) for screen, each in sorted(known.all().items())]
        print_table(rows)
        return
    screen = addresses.parse_screen(address)
    if forget:
        known.forget(screen)
        return
    if not name or not is_fingerprint(key):
        raise UsageError(
            f"give the name and the key (SHA256:...) of the sender of {screen}, or --forget"
        )
    known.remember(screen, KnownSender(name, key))


def trust(
    name: Annotated[str, typer.Argument(metavar="USER", help="Name of a user.")] = "",
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="Role of the user: view or control.")
    ] = "",
    remove: Annotated[
        bool, typer.Option("--remove", help="End the user's sessions, and reject the key.")
    ] = False,
) -> None:
    """List the users here, or set one user's role."""
    made = _here()
    if not name:
        for user, given in sorted(made.roles().items()):
            print(f"{user}  {given}")
        return
    if bool(role) == remove:
        raise UsageError(f"give {name} a role with --role view or --role control, or use --remove")
    if remove:
        made.remove(name)
    else:
        made.set_role(name, check_role(role))
        unknown = "" if name in made.known_users() else " (no such user has a key here yet)"
        print(f"{name}: role {role}{unknown}")


cert = group(
    authority=authority,
    host=host,
    router=router,
    web=web,
    deny=deny,
    sender=sender,
    user=user,
    take=take,
    show=show,
)
