"""The arguments and options that several commands have, and their completion in a shell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import typer


def running_machines(incomplete: str) -> list[str]:
    """Return the running machines whose names begin so, for a shell's completion."""
    from ..errors import KjuError
    from ..store import running

    try:
        return [name for name in running.names() if name.startswith(incomplete)]
    except KjuError:
        return []


def completing(words: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a function for a shell's completion: the words that begin like the one typed."""
    known = tuple(words)

    def complete(incomplete: str) -> list[str]:
        return [word for word in known if word.startswith(incomplete)]

    return complete


def defined_machines(incomplete: str) -> list[str]:
    """Return the defined machines whose names begin so, for a shell's completion."""
    from ..errors import KjuError
    from ..store import defined

    try:
        return [name for name in defined.names() if name.startswith(incomplete)]
    except KjuError:
        return []


def _only_machine(context: typer.Context, value: str) -> str:
    """Return the name that was given, or that of the only running machine.

    Raises:
        MachineNotFoundError: No machine is running.
        UsageError: Several are.
    """
    if value or context.resilient_parsing:
        return value
    from ..errors import MachineNotFoundError, UsageError
    from ..store import claims, running

    claims.sweep()
    names = running.names()
    if not names:
        raise MachineNotFoundError("no machine is running; start one with: kju run IMAGE")
    if len(names) > 1:
        raise UsageError(f"several machines are running; name one of: {', '.join(names)}")
    return names[0]


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A running machine; see `kju ls`.", autocompletion=running_machines
    ),
]
AnyName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A running machine (default: the only one).",
        show_default=False,
        callback=_only_machine,
        autocompletion=running_machines,
    ),
]
Target = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A running machine, or a surface's path.",
        autocompletion=running_machines,
    ),
]
AnyTarget = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="A running machine, or a surface's path (default: the only machine).",
        show_default=False,
        callback=_only_machine,
        autocompletion=running_machines,
    ),
]
Defined = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A defined machine; see `kju ls`.", autocompletion=defined_machines
    ),
]
Console = Annotated[
    int, typer.Option(metavar="N", min=0, max=15, help="Number of the guest's screen, from 0.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, also for errors.")]
Seconds = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="Stop after SECONDS (0: never).")
]
Machine = Annotated[
    str,
    typer.Option(
        "--machine",
        metavar="NAME",
        help="The machine, in place of the first argument.",
        show_default=False,
        expose_value=False,
        autocompletion=running_machines,
    ),
]
