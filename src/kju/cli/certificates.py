"""Keys, certificates and users, for the command line."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

from ..bounded import read_file
from ..client.requests import check_role
from ..errors import UsageError
from ..escaping import one_line
from ..files import write_output
from ..remote import address as addresses_of_screens
from ..remote import certificates, denied
from ..remote.certificates import Kind
from ..remote.known import KnownSender, KnownSenders
from ..remote.trust import Trust, default_folder

#: Bytes of a key with its certificate and its authority's.
MAX_BUNDLE = 1 << 20


def _here() -> Trust:
    return Trust(default_folder())


def authority(name: str) -> None:
    """Make an authority."""
    made = _here()
    made.make_authority(name)
    print(
        f"{made.folder}/authority.key signs every certificate: with it one can pretend to be"
        " anybody. Keep it on a computer that serves nothing, offline if possible"
    )


def host(addresses: Sequence[str], output: str, kind: Kind = "host") -> None:
    """Make this computer's certificate as a host or a router, or another's into a file."""
    made, name = _here(), socket.gethostname()
    if not output:
        make = made.make_router if kind == "router" else made.make_host
        make(name, addresses or [name, "localhost", "127.0.0.1"])
        print(f"{made.folder}/{kind}.pem")
        return
    if not addresses:
        raise UsageError("say by what names and addresses others connect to that computer")
    write_output(output, made.host_bundle(addresses[0], addresses, kind), mode=0o600, replace=False)
    print(f"{output} is for {addresses[0]}: kju cert take {Path(output).name}")


def user(name: str, output: str) -> None:
    """Make a user's key, and a file for the user."""
    made = _here()
    bundle = made.user_bundle(name)
    try:
        write_output(output, bundle, mode=0o600, replace=False)
    except BaseException:
        # Else the user would exist without a file, and could not be made again.
        made.forget(name)
        raise
    print(f"{output} is for {name}: kju cert take {Path(output).name}")
    if name not in made.roles():
        print(f"to let {name} in here: kju trust {name} --role view, or control")


def take(file: str) -> None:
    """Keep a key."""
    made = _here()
    name, kind = made.take_bundle(read_file(file, MAX_BUNDLE))
    if kind != "user":
        use = "kju router" if kind == "router" else "kju serve"
        print(f"{made.folder}/{kind}.key; this computer is {one_line(name)}: {use}")
    else:
        words = f"{made.folder}/user-{name}.key; use it with: kju mirror ADDRESS --user {name}"
        print(one_line(words))


def show() -> None:
    """List certificates."""
    rows = [("file", "name", "valid until", "key")]
    rows += [(stem, name, f"{last:%Y-%m-%d}", key) for stem, name, last, key in _here().listed()]
    _print_table(rows)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (one_line(word).ljust(w) for word, w in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def deny(key: str) -> None:
    """Deny a key, by its fingerprint or its certificate's file."""
    name = ""
    if not key.startswith("SHA256:"):
        try:
            certificate = certificates.read(read_file(key, MAX_BUNDLE))
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


def sender(address: str, name: str, key: str, forget: bool) -> None:
    """List the senders that are known, accept one, or forget one."""
    known = KnownSenders(_here().folder)
    if not address:
        rows = [("screen", "sender", "key")]
        rows += [(screen, each.name, each.key) for screen, each in sorted(known.all().items())]
        _print_table(rows)
        return
    screen = addresses_of_screens.parse(address)
    if forget:
        known.forget(screen)
        return
    if not name or not denied.is_key(key):
        raise UsageError(
            f"give the name and the key (SHA256:...) of the sender of {screen}, or --forget"
        )
    known.remember(screen, KnownSender(name, key))


def trust(name: str, role: str, remove: bool) -> None:
    """Say what users may do, or list that."""
    made = _here()
    if not name:
        for user, given in sorted(made.roles().items()):
            print(f"{user}  {given}")
        return
    if bool(role) == remove:
        raise UsageError(f"say --role view or --role control for {name}, or --remove")
    if remove:
        made.remove(name)
    else:
        made.set_role(name, check_role(role))
