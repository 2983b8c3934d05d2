"""The `kju` command line: the table of the commands, and the group that imports and runs them.

``kju --help`` answers within 150 ms: it imports no command, so the summaries stand in the table.
typer's rich formatting stays off (60 ms to import).
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, NamedTuple

import typer
import typer.core

from ..errors import UsageError
from .command import CONTEXT, Command, add_machine_option, completing
from .output import BOLD, report_error, styled


class _Entry(NamedTuple):
    """One command.

    Attributes:
        name: As it is typed. Its function has the same name; ``_`` follows one of Python's words.
        module: The module of its function; a group of commands is a `typer.Typer` of that name.
        summary: The first line of its help and of its function's documentation.
    """

    name: str
    module: str
    summary: str


class _Section(NamedTuple):
    """One group of commands in ``kju --help``."""

    title: str
    example: str
    entries: tuple[_Entry, ...]


SECTIONS = (
    _Section(
        "Run",
        "kju run --detach disk.qcow2",
        (
            _Entry("run", "machines.running", "Start a machine from a disk, a CD or a kernel."),
            _Entry("start", "machines.defined", "Start a defined machine in the background."),
            _Entry("stop", "machines.running", "Shut a machine down, and end it if that fails."),
            _Entry("pause", "machines.running", "Pause a machine."),
            _Entry("resume", "machines.running", "Continue a paused machine."),
            _Entry("reset", "machines.running", "Reset a machine, as its reset button does."),
            _Entry("snapshot", "machines.running", "Save, load, list and remove snapshots."),
            _Entry(
                "freeze",
                "machines.forks",
                "Freeze a machine as a base of forks; the machine continues.",
            ),
            _Entry("fork", "machines.forks", "Start forks of a machine, in the background."),
            _Entry(
                "revert",
                "machines.forks",
                "Return a machine to its base, and lose all changes since.",
            ),
            _Entry(
                "cd", "machines.running", "Change the CD in a running machine's drive, or eject it."
            ),
            _Entry("demo", "demo", "Start a guest, show it here and press keys in it."),
        ),
    ),
    _Section(
        "See",
        "kju screenshot web screen.png",
        (
            _Entry("screenshot", "recording", "Save the screen as a picture."),
            _Entry("watch", "screen", "Show the screen in this terminal, and use the machine."),
            _Entry("view", "screen", "Show the screen in a window, and use the machine there."),
            _Entry("desktop", "screen", "Show all machines in one window, and use them there."),
            _Entry(
                "resize", "screen", "Ask the guest for a size of its screen; the guest decides."
            ),
            _Entry(
                "wait", "wait", "Wait until the screen shows something, and print its position."
            ),
            _Entry("needle", "wait", "Cut out a picture for `kju wait --image` to search for."),
            _Entry("record", "recording", "Record the screen as a video until Ctrl+C."),
            _Entry("play", "recording", "Play a recording in a window, with its input beside it."),
        ),
    ),
    _Section(
        "Drive",
        "kju type web 'uname -a' && kju key web ret",
        (
            _Entry("key", "input", "Press keys, one chord after another."),
            _Entry("type", "input", "Type text."),
            _Entry("pointer", "input", "Move, click, drag and scroll with the pointer."),
            _Entry("serial", "channels", "Connect this terminal to a machine's serial port."),
            _Entry("qmp", "channels", "Run a QMP command, and print its result as JSON."),
            _Entry("inputs", "input", "Print the input of all clients as JSON lines."),
            _Entry("replay", "input", "Repeat the input of a log, with its pauses."),
            _Entry("codegen", "codegen", "Record what you do in a machine as a Python script."),
            _Entry("mcp", "mcp", "Let a model see and drive machines, over MCP."),
        ),
    ),
    _Section(
        "Machines",
        "kju create web --image disk.qcow2 --memory 2G",
        (
            _Entry("ls", "machines.status", "List machines, or the screens on the network."),
            _Entry("info", "machines.status", "Print everything about a machine."),
            _Entry("logs", "machines.status", "Print a machine's log."),
            _Entry("events", "machines.status", "Print a machine's events."),
            _Entry("create", "machines.defined", "Define a machine, to be started by its name."),
            _Entry("edit", "machines.defined", "Edit a machine's definition."),
            _Entry("clone", "machines.defined", "Clone a machine, using copy-on-write disks."),
            _Entry("rm", "machines.defined", "Remove a defined machine."),
        ),
    ),
    _Section(
        "Network",
        "kju mirror zenoh:lab/host1/web --connect host1:7447",
        (
            _Entry("serve", "network", "Serve machines' screens on the network until Ctrl+C."),
            _Entry("web", "web", "Serve machines to browsers, and make links for them."),
            _Entry("mirror", "network", "Mirror a remote screen, as a machine on this computer."),
            _Entry("router", "network", "Forward messages between senders and viewers."),
            _Entry("fleet", "fleet.commands", "Launch, list and end machines on a Ray cluster."),
            _Entry("cert", "certificates", "Make and list keys and certificates."),
            _Entry("trust", "certificates", "List the users here, or set one user's role."),
        ),
    ),
    _Section(
        "Tools",
        "kju doctor",
        (
            _Entry("doctor", "doctor", "Check this computer's setup and suggest fixes."),
            _Entry("dump", "surface", "Print a surface's header, and its tiles by age."),
            _Entry("completion", "app", "Print a script that completes `kju` in a shell."),
        ),
    ),
)
ENTRIES = {entry.name: entry for section in SECTIONS for entry in section.entries}

#: Commands whose words after ``--`` are QEMU's.
_PASSES_ARGUMENTS = (("run",), ("create",), ("fleet", "launch"))
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


def load(entry: _Entry) -> Any:  # noqa: ANN401  typer's own class has no public name
    """Import one command, or one group of commands.

    Raises:
        ImportError: An extra that its module needs is not installed.
    """
    module = importlib.import_module(f".{entry.module}", __package__)
    function = getattr(module, entry.name, None) or getattr(module, f"{entry.name}_")
    if isinstance(function, typer.Typer):
        command: Any = typer.main.get_command(function)
        command.name, command.help = entry.name, entry.summary
        return command
    single = typer.Typer(rich_markup_mode=None, add_completion=False)
    single.command(entry.name, cls=Command, context_settings=CONTEXT)(add_machine_option(function))
    return typer.main.get_command(single)


def split_qemu_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Part the command's own words from those after ``--`` that QEMU, or Xvfb, gets unchanged."""
    if _passes_arguments(words) and "--" in words:
        at = list(words).index("--")
        return list(words[:at]), list(words[at + 1 :])
    return list(words), []


def _passes_arguments(words: Sequence[str]) -> bool:
    return any(tuple(words[: len(command)]) == command for command in _PASSES_ARGUMENTS)


def check_own_options(words: Sequence[str]) -> None:
    """Refuse a QEMU option that stands before ``--``.

    The parser would take it apart: ``-device`` is ``-d`` and four unknown letters, and ``-machine``
    is ``-m`` with a value.

    Raises:
        UsageError: One is there; the message has the command line that works.
    """
    if not _passes_arguments(words):
        return
    for at, word in enumerate(words):
        letters = word[1:].partition("=")[0]
        is_one = word.startswith("-") and letters[:1].isalpha() and len(letters) > 1
        has_value = letters.startswith("m") and letters[1:2].isdigit()  # -m2G
        if is_one and not has_value and not set(letters) <= _SWITCHES:
            import shlex

            line = shlex.join(["kju", *words[:at], "--", *words[at:]])
            raise UsageError(
                f"kju {words[0]} has no option {word}; put QEMU's options after --: {line}"
            )


def run(words: Sequence[str]) -> int:
    """Run one command line, and return the exit code."""
    ours, qemu = split_qemu_arguments(words)
    try:
        if "_KJU_COMPLETE" in os.environ:
            from typer.completion import completion_init  # type: ignore[attr-defined]

            completion_init()  # without it the shell's questions have no effect
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


#: The line that loads the script, in the start-up file of each shell.
SHELLS = {
    "bash": 'eval "$(kju completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(kju completion zsh)" in ~/.zshrc, after compinit',
    "fish": "kju completion fish | source in ~/.config/fish/config.fish",
}


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL", help=f"{', '.join(SHELLS)}.", autocompletion=completing(SHELLS)
        ),
    ],
) -> None:
    """Print a script that completes `kju` in a shell.

    Its first line shows how a shell loads it.
    """
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell!r}; choose one of: {', '.join(SHELLS)}")
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    print(f"# To load this in every shell: {SHELLS[shell]}")
    print(get_completion_script(prog_name="kju", complete_var="_KJU_COMPLETE", shell=shell))
