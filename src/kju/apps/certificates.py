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
from ..remote.trust import Trust, default_folder

#: Bytes of a key with its certificate and its authority's.
MAX_BUNDLE = 1 << 20


def _here() -> Trust:
    return Trust(default_folder())


def authority(name: str) -> None:
    """Make an authority."""
    made = _here()
    made.make_authority(name)
    print(f"{made.folder}/authority.key signs; keep it, and let nobody else read it")


def host(addresses: Sequence[str], output: str) -> None:
    """Make this computer's certificate, or another's into a file."""
    made, name = _here(), socket.gethostname()
    if not output:
        made.make_host(name, addresses or [name, "localhost", "127.0.0.1"])
        print(f"{made.folder}/host.pem")
        return
    if not addresses:
        raise UsageError("say by what names and addresses others connect to that computer")
    write_output(output, made.host_bundle(addresses[0], addresses), mode=0o600, replace=False)
    print(f"{output} is for {addresses[0]}: kju cert take {Path(output).name}")


def user(name: str, output: str) -> None:
    """Make a user's key, and a file for the user."""
    made = _here()
    made.make_user(name)
    try:
        write_output(output, made.bundle(name), mode=0o600, replace=False)
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
    name, is_host = made.take_bundle(read_file(file, MAX_BUNDLE))
    if is_host:
        print(f"{made.folder}/host.key; this computer is {one_line(name)}: kju serve, kju router")
    else:
        words = f"{made.folder}/user-{name}.key; use it with: kju mirror ADDRESS --user {name}"
        print(one_line(words))


def show() -> None:
    """List certificates."""
    rows = [("file", "name", "good until")]
    rows += [(stem, name, f"{last:%Y-%m-%d}") for stem, name, last in _here().listed()]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        cells = (one_line(word).ljust(w) for word, w in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def trust(name: str, role: str, remove: bool) -> None:
    """Say what users may do, or list that."""
    made = _here()
    if not name:
        for user, given in sorted(made.roles().items()):
            print(f"{user}  {given}")
        return
    if bool(role) == remove:
        raise UsageError(f"say --role view or --role control for {name}, or --remove")
    made.set_role(name, check_role(role) if role else None)
