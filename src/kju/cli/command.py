"""The frame of a command: its arguments and options, how it is read, run and interrupted.

Names of machines, and values with a fixed set of choices, are completed in a shell.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
from collections.abc import Callable, Collection, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer
import typer.core

from ..signals import ending_signals
from .output import discard_output

if TYPE_CHECKING:
    from ..protocol.launch_options import Declared

CONTEXT = {"help_option_names": ["-h", "--help"]}
#: What typer raises for a word that it refuses; the class has no public name.
_WordError: Any = typer.BadParameter.__mro__[1]
#: Printed for a new machine without an image.
NO_IMAGE = "no image given: the guest has no disk"


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


def _defined_machines(incomplete: str) -> list[str]:
    """Return the defined machines whose names begin so, for a shell's completion."""
    from ..errors import KjuError
    from ..store import definitions

    try:
        return [name for name in definitions.names() if name.startswith(incomplete)]
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
    from ..store import running

    running.sweep()
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
        metavar="NAME", help="A defined machine; see `kju ls`.", autocompletion=_defined_machines
    ),
]
Console = Annotated[
    int, typer.Option(metavar="N", min=0, max=15, help="The guest's console, from 0.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, also for errors.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the command and the reasons; start nothing."),
]
Seconds = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="Stop after SECONDS (0: never).")
]
Connect = Annotated[
    list[str] | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of a sender or router (default: KJU_CONNECT, else a socket for programs on"
        " this computer only).",
    ),
]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Allow unencrypted connections to other computers.")
]
User = Annotated[
    str, typer.Option(metavar="USER", help="Your user name at that sender; see `kju cert take`.")
]
Machine = Annotated[
    str,
    typer.Option(
        "--machine",
        metavar="NAME",
        help="Same as NAME.",
        show_default=False,
        expose_value=False,
        autocompletion=running_machines,
    ),
]


class Command(typer.core.TyperCommand):
    """A command that removes the remains of dead machines first, and that signals end cleanly."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  as the base class
        """Read the words; ``--machine NAME`` stands for the first argument."""
        from ..errors import UsageError
        from .usage import arranged, number_error

        words = arranged(args, self.params)
        try:
            return super().parse_args(ctx, list(words))
        except _WordError as error:
            error.ctx = error.ctx or ctx  # the parser's errors have none, and need the help's name
            parameter = getattr(error, "param", None)
            if parameter is None or type(error).__name__ != "BadParameter":
                raise
            if fault := number_error(self, parameter.name, words, ctx):
                raise UsageError(fault) from None
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401  as the base class
        """Return the words of the usage line."""
        from .usage import usage_words

        return usage_words(self.get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as the base class
        """Write the arguments and the options."""
        from .usage import help_rows

        for title, rows in help_rows(self, self.get_params(ctx)).items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  as the base class
        """Run it."""
        with _interruptible():
            _remove_remains()
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # here, because typer would end with 1
                discard_output()


def _remove_remains() -> None:
    """Remove dead machines' folders and unused segments; a few directory reads."""
    from .. import memory
    from ..errors import KjuError
    from ..store import sweeping

    # A command that needs what failed here meets the same error, and reports it.
    with contextlib.suppress(KjuError, OSError):
        sweeping.sweep()
    with contextlib.suppress(KjuError, OSError):
        memory.sweep()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let every ending signal unwind the command, so that machines end and terminals are reset."""
    # SIGINT has Python's own handler.
    numbers = [n for n in ending_signals() if signal.getsignal(n) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _exit)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _exit(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


#: Arguments that ``--machine`` can stand for.
_MACHINES = (Name, AnyName, Target, AnyTarget)


def add_machine_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--machine`` to a command whose first argument is a running machine."""
    own = list(inspect.signature(function).parameters.values())
    hints = get_type_hints(function, include_extras=True)
    if not any(hints.get(one.name) in _MACHINES for one in own):
        return function

    @functools.wraps(function)
    def command(*words: Any, **values: Any) -> Any:  # noqa: ANN401  any command
        values.pop("machine", None)
        return function(*words, **values)

    option = inspect.Parameter(
        "machine", inspect.Parameter.KEYWORD_ONLY, default="", annotation=Machine
    )
    plain = [one.replace(annotation=hints.get(one.name, one.annotation)) for one in own]
    command.__signature__ = inspect.Signature([*plain, option])  # type: ignore[attr-defined]
    command.__annotations__ = {**hints, "machine": Machine}
    return command


def group(default: str = "", **functions: Callable[..., Any]) -> typer.Typer:
    """Return a group of commands, by their names.

    Args:
        default: The command that runs without a name of one.
        **functions: The commands.
    """

    class Group(typer.core.TyperGroup):
        """The group."""

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  as the base
            """Read the words; without a command's name they are those of the default."""
            is_help = args[:1] in (["-h"], ["--help"])
            if default and not is_help and args[:1] not in [[name] for name in functions]:
                args = [default, *args]
            return super().parse_args(ctx, args)

    app = typer.Typer(
        cls=Group, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        context_settings=CONTEXT,
    )  # fmt: skip
    for name, function in functions.items():
        app.command(name, cls=Command, context_settings=CONTEXT)(add_machine_option(function))
    return app


def with_options(
    kind: type, *, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that takes ``**options`` an option of the command line for each.

    Args:
        kind: The dictionary that defines them.
        without: Options that the command declares itself, or does not have.
    """
    from ..protocol.launch_options import declared  # `kju --help` needs none

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
