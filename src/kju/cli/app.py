"""The `kju` command line: the group that imports and runs the commands of the table.

``kju --help`` answers within 150 ms, so typer's rich formatting stays off (60 ms to import).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
import typer.core

from .command import CONTEXT, Command, add_machine_option
from .commands import ENTRIES, SECTIONS, Entry
from .exits import report_error
from .terminal import BOLD, styled

#: Commands whose words after ``--`` are QEMU's.
PASSES_ARGUMENTS = ("run", "create")
#: Their one-letter switches, which may stand together (``-dw``).
_SWITCHES = set("dwh")


class Commands(typer.core.TyperGroup):
    """The commands of the table; one is imported when it is run."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  as the base class
        super().__init__(**attributes)
        # These show in help, in completion and in suggestions; `resolve_command` loads the others.
        self.commands = {
            entry.name: typer.core.TyperCommand(entry.name, help=entry.summary)
            for entry in ENTRIES.values()
        }

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  as the base class
        """Find the command that the first word names, and import it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(ENTRIES[str(name)]), rest

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as the base class
        """Write the sections of the table."""
        width = max(map(len, ENTRIES))
        for section in SECTIONS:
            with formatter.section(styled(section.title, BOLD)):
                rows = [(entry.name.ljust(width), entry.summary) for entry in section.entries]
                formatter.write_dl(rows)
                formatter.write_paragraph()
                formatter.write_dl([("Example:".ljust(width), section.example)])


app = typer.Typer(
    name="kju",
    cls=Commands,
    help="See and drive QEMU guests through shared memory.",
    epilog="Show the options of a command: kju COMMAND --help",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=CONTEXT,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"kju {__version__}")
        raise typer.Exit


@app.callback()
def kju(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """See and drive QEMU guests through shared memory."""


def load(entry: Entry) -> Any:  # noqa: ANN401  typer's own class has no public name
    """Import one command, or one group of commands.

    Raises:
        ImportError: An extra that its module needs is not installed.
    """
    module = importlib.import_module(f".{entry.module}", __package__)
    if isinstance(group := getattr(module, "app", None), typer.Typer) and not hasattr(
        module, entry.name
    ):
        command: Any = typer.main.get_command(group)
        command.name, command.help = entry.name, entry.summary
        return command
    function = getattr(module, entry.name, None) or getattr(module, f"{entry.name}_")
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(entry.name, cls=Command, context_settings=CONTEXT)(add_machine_option(function))
    return typer.main.get_command(single)


def split_qemu_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the command's own words from those after ``--`` that QEMU, or Xvfb, gets unchanged."""
    if words and words[0] in PASSES_ARGUMENTS and "--" in words:
        at = list(words).index("--")
        return list(words[:at]), list(words[at + 1 :])
    return list(words), []


def check_own_options(words: Sequence[str]) -> None:
    """Refuse a QEMU option that stands before ``--``.

    The parser would take it apart: ``-device`` is ``-d`` and four unknown letters, and ``-machine``
    is ``-m`` with a value.

    Raises:
        UsageError: One is there; the message has the command line that works.
    """
    if not words or words[0] not in PASSES_ARGUMENTS:
        return
    for at, word in enumerate(words):
        letters = word[1:].partition("=")[0]
        is_one = word.startswith("-") and letters[:1].isalpha() and len(letters) > 1
        has_value = letters.startswith("m") and letters[1:2].isdigit()  # -m2G
        if is_one and not has_value and not set(letters) <= _SWITCHES:
            import shlex

            from ..errors import UsageError

            line = shlex.join(["kju", *words[:at], "--", *words[at:]])
            raise UsageError(
                f"kju {words[0]} has no option {word}; put QEMU's options after --: {line}"
            )


def run(words: Sequence[str]) -> int:
    """Run one command line, and return the exit code."""
    ours, qemu = split_qemu_arguments(words)
    try:
        if "_KJU_COMPLETE" in os.environ:
            from .completion import enable

            enable()
        check_own_options(ours)
        command = typer.main.get_command(app)
        code = command.main(ours, prog_name="kju", standalone_mode=False, obj=qemu)
        sys.stdout.flush()
    except BaseException as error:  # each has its exit code; a fault of our own is raised again
        return report_error(error, as_json="--json" in ours)
    return code if isinstance(code, int) else 0


def loaded() -> Iterator[tuple[str, Any]]:
    """Yield every command with the words that run it, for tests and for the manual."""
    for entry in ENTRIES.values():
        command = load(entry)
        yield entry.name, command
        for name, below in getattr(command, "commands", {}).items():
            yield f"{entry.name} {name}", below
