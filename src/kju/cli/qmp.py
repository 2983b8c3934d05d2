"""`kju qmp`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ..client.launching import attach
from ..errors import UsageError
from .parameters import Name


def qmp(
    name: Name,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Such as query-status.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENT", help="A JSON object, or KEY=VALUE words."),
    ] = None,
) -> None:
    """Run a QMP command, and print its result as JSON.

    A VALUE that is valid JSON is passed as such, any other as a text.
    """
    values = parse(arguments or [])
    with attach(name) as machine:
        print(json.dumps(machine.qmp(command, **values), indent=2))


def parse(words: list[str]) -> dict[str, Any]:
    """Return arguments from one JSON object, or from KEY=VALUE words.

    Raises:
        UsageError: The words are neither.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            found = json.loads(words[0])
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{words[0]!r} is not JSON: {error}") from error
        return dict(found)
    arguments = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"{word!r} is not KEY=VALUE; or give all arguments as one JSON object")
        try:
            arguments[key] = json.loads(value)
        except (ValueError, RecursionError):
            arguments[key] = value
    return arguments
