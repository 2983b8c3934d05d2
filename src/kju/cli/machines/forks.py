"""Forks of machines: `kju freeze`, `fork` and `revert`."""

from __future__ import annotations

import json as json_format
from typing import Annotated

import typer

from ...client.launching import attach, open_base
from ...client.machine import Machine
from ...errors import UsageError
from ...escaping import one_line
from ..command import Json, Name
from ..output import progress, reporting


def freeze(
    name: Name,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Name of the base.")],
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Remove this base. Its forks keep it until they end."),
    ] = False,
) -> None:
    """Freeze a machine as a base of forks; the machine continues.

    The base exists until the machine and all its forks have ended.
    """
    with attach(name) as machine:
        if remove:
            machine.remove_base(tag)
            return
        with progress(f"freezing {name}"), machine.freeze(tag, spares=0, timeout=None) as base:
            size, seconds = base.size, base.paused
    print(f"{tag} is frozen ({size / (1 << 20):.0f} MiB, paused for {seconds:.2f} s)")
    print(f"fork: kju fork {name} --base {tag}")


def fork(
    name: Name,
    count: Annotated[
        int, typer.Option("--count", "-n", metavar="N", min=1, help="Start N forks.")
    ] = 1,
    base: Annotated[
        str,
        typer.Option(
            "--base", metavar="TAG", help="Fork this base (default: freeze the machine now)."
        ),
    ] = "",
    fork_name: Annotated[
        str,
        typer.Option(
            "--name",
            metavar="NEW",
            help="Name of the fork; of several, the beginning of their names.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Start forks of a machine, in the background.

    Each continues from the instant of the freeze, with disks of its own.
    """
    several = count if count > 1 else None
    with progress(f"forking {name}"):
        if base:
            with open_base(name, base) as opened:
                made = opened.fork(several, name=fork_name or None, detach=True)
        else:
            with attach(name) as machine:
                made = machine.fork(several, name=fork_name or None, detach=True)
    forks: list[Machine] = made if isinstance(made, list) else [made]
    names = [each.name for each in forks]
    with reporting(*forks):
        print(json_format.dumps(names) if json else "\n".join(names))
    for each in forks:
        each.close()


def revert(
    name: Name,
    yes: Annotated[
        bool, typer.Option("--yes", help="Confirm that the changes since are lost.")
    ] = False,
) -> None:
    """Return a machine to its base, and lose all changes since.

    The base is the last one that the machine was frozen as, or is a fork of.
    """
    if not yes:
        raise UsageError(
            f"the guest's memory and disk changes since the freeze of {name} are lost; to confirm"
            f" that: kju revert {name} --yes"
        )
    with attach(name) as machine, progress(f"reverting {name}"):
        machine.revert(timeout=None)
        facts = machine.info()["fork"] or {}
    print(one_line(f"{name} is at {facts.get('tag')} again"))
