"""The help and the words of a command, the same for every version of typer.

typer's versions differ in their help and in their errors about numbers. So both are written here,
from the types and the `typer.Option` of each parameter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args, get_type_hints

from ..errors import UsageError

_NEGATIVE = re.compile(r"-[0-9][0-9.,-]*")


class Words(NamedTuple):
    """The words of a command line.

    Attributes:
        options: Options with their values.
        arguments: All other words.
    """

    options: list[str]
    arguments: list[str]


def split(words: Sequence[str], parameters: Sequence[Any]) -> Words:
    """Part the options from the arguments; a negative number is an argument."""
    valued = {
        flag
        for one in parameters
        if one.param_type_name == "option" and not one.is_flag
        for flag in one.opts
    }
    options: list[str] = []
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            arguments += rest
        elif word in valued:
            value = next(rest, None)
            options += [word] if value is None else [word, value]
        elif word.startswith("-") and word != "-" and not _NEGATIVE.fullmatch(word):
            options.append(word)
        else:
            arguments.append(word)
    return Words(options, arguments)


def arranged(words: Sequence[str], parameters: Sequence[Any]) -> list[str]:
    """Return the words as the parser needs them.

    ``--machine NAME`` becomes the first argument. If an argument is a negative number, ``--`` keeps
    the parser from reading it as an option.

    Raises:
        UsageError: The machine is given twice.
    """
    options, arguments = split(words, parameters)
    machine = None
    if any(one.name == "machine" for one in parameters):
        options, machine = _without_machine(options)
    if machine is not None:
        places = [one.nargs for one in parameters if one.param_type_name == "argument"]
        if -1 not in places and len(arguments) >= len(places):
            raise UsageError(f"the machine is given twice: {arguments[0]} and --machine {machine}")
        arguments = [machine, *arguments]
    elif not any(map(_NEGATIVE.fullmatch, arguments)):
        return list(words)
    return [*options, "--", *arguments]


def _without_machine(options: list[str]) -> tuple[list[str], str | None]:
    for at, word in enumerate(options):
        if word == "--machine" and at + 1 < len(options):
            return [*options[:at], *options[at + 2 :]], options[at + 1]
        if word.startswith("--machine="):
            return [*options[:at], *options[at + 1 :]], word.partition("=")[2]
    return options, None


def number_error(command: Any, name: str, words: Sequence[str], context: Any) -> str:  # noqa: ANN401  typer's own classes have no public names
    """Return the error of an option that is not the number it must be; empty for another option."""
    kind, info = _declared(get_type_hints(command.callback, include_extras=True).get(name))
    types = {kind, *get_args(kind)}
    if not types & {int, float}:
        return ""
    parameter = next(one for one in command.params if one.name == name)
    given = command.make_parser(context).parse_args(args=list(words))[0].get(name)
    number = "a whole number" if int in types else "a number"
    limits = _limits(info)
    return f"{parameter.opts[-1]} must be {number}{limits and f' {limits}'}, not {given!r}"


def _declared(hint: Any) -> tuple[Any, Any]:  # noqa: ANN401  as above
    """Return the type of a parameter, and its `typer.Option`."""
    found = get_args(hint)
    return (found[0], found[1]) if len(found) > 1 else (hint, None)


def _limits(info: Any) -> str:  # noqa: ANN401  as above
    least, most = getattr(info, "min", None), getattr(info, "max", None)
    if least is None:
        return ""
    return f"of {least} or more" if most is None else f"from {least} to {most}"


def usage_words(parameters: Sequence[Any]) -> list[str]:
    """Return the words of the usage line that follow the command's name."""
    found = ["[OPTIONS]"]
    for one in parameters:
        if one.param_type_name == "argument":
            name = _name(one) if one.required else f"[{_name(one)}]"
            found.append(f"{name}..." if one.nargs == -1 else name)
    return found


def _name(argument: Any) -> str:  # noqa: ANN401  as above
    return str(argument.metavar or argument.name.upper())


def help_rows(command: Any, parameters: Sequence[Any]) -> dict[str, list[tuple[str, str]]]:  # noqa: ANN401  as above
    """Return the rows of each section of a command's help."""
    hints = get_type_hints(command.callback, include_extras=True)
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for one in parameters:
        if getattr(one, "hidden", False):
            continue
        if one.param_type_name == "argument":
            found["Arguments"].append((_name(one), one.help or ""))
            continue
        facts = []
        if default := _default(one):
            facts.append(f"default: {default}")
        if limits := _limits(_declared(hints.get(one.name))[1]):
            facts.append(limits.removeprefix("of ").removeprefix("from "))
        notes = f"  [{'; '.join(facts)}]" if facts else ""
        found["Options"].append((_flags(one), f"{one.help or ''}{notes}"))
    return {title: rows for title, rows in found.items() if rows}


def _flags(option: Any) -> str:  # noqa: ANN401  as above
    """Return an option as it is typed, its short form first."""
    flags = ", ".join(sorted(option.opts, key=lambda flag: flag.startswith("--")))
    if option.secondary_opts:
        flags = f"{flags} / {', '.join(option.secondary_opts)}"
    return flags if option.is_flag else f"{flags} {option.metavar or option.name.upper()}"


def _default(option: Any) -> str:  # noqa: ANN401  as above
    if option.is_flag:
        chosen = option.opts if option.default else option.secondary_opts
        return chosen[0].lstrip("-") if option.secondary_opts else ""
    shown = option.show_default is not False and option.default not in (None, "", (), [])
    return str(option.default) if shown and isinstance(option.default, (str, int, float)) else ""
