"""The options of `kju run` and `kju create`, made from their one definition."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Annotated, Any, get_type_hints

import typer

from ..protocol.launch_options import Declared, declared
from .parameters import completing


def with_options(
    kind: type, *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes ``**options`` an option of the command line for each.

    Args:
        kind: The dictionary that defines them.
        without: Options that the command declares itself, or does not have.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(function).parameters.values()
        own = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
        hints = get_type_hints(function, include_extras=True)
        named = [p.replace(annotation=hints[p.name]) for p in own]
        options = declared(kind)
        made = [_parameter(name, options[name]) for name in options if name not in without]

        @functools.wraps(function)
        def command(*words: Any, **values: Any) -> None:  # noqa: ANN401  any option
            function(*words, **values)

        command.__signature__ = inspect.Signature([*named, *made])  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in [*named, *made]}
        return command

    return decorate


def _parameter(name: str, found: Declared) -> inspect.Parameter:
    option = found.option
    flags = [f"--{name.replace('_', '-')}", *([option.short] if option.short else [])]
    limits = option.limits or (None, None)
    is_switch = not option.value
    kind: Any = bool if is_switch else int | None if option.limits else str | None
    info = typer.Option(
        *flags,
        metavar=option.value or None,
        help=option.help,
        min=limits[0],
        max=limits[1],
        autocompletion=completing(found.choices) if found.choices else None,
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=option.default,
        annotation=Annotated[kind, info],
    )
