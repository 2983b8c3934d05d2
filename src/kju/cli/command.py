"""The class of every command: how one is read, run and interrupted."""

from __future__ import annotations

import contextlib
import functools
import inspect
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, get_type_hints

import typer
import typer.core

from ..signals import ending_signals
from . import parameters
from .exits import discard_output

CONTEXT = {"help_option_names": ["-h", "--help"]}


class Command(typer.core.TyperCommand):
    """A command that removes the remains of dead machines first, and that signals end cleanly."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  as the base class
        """Read the words; ``--machine NAME`` stands for the first argument."""
        if any(parameter.name == "machine" for parameter in self.params):
            args = _machine_first(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  as the base class
        """Run it."""
        with interruptible():
            remove_remains()
            try:
                return super().invoke(ctx)
            except BrokenPipeError:  # here, because typer would end with 1
                discard_output()


def _machine_first(words: list[str]) -> list[str]:
    """Move the value of ``--machine`` to the front, where the machine's name belongs."""
    end = words.index("--") if "--" in words else len(words)
    for at, word in enumerate(words[:end]):
        if word == "--machine" and at + 1 < end:
            return [words[at + 1], *words[:at], *words[at + 2 :]]
        if word.startswith("--machine="):
            return [word.partition("=")[2], *words[:at], *words[at + 1 :]]
    return words


def remove_remains() -> None:
    """Remove dead machines' folders and unused segments; a few directory reads."""
    from .. import memory
    from ..errors import KjuError
    from ..store import claims

    # A command that needs what failed here meets the same error, and reports it.
    with contextlib.suppress(KjuError, OSError):
        claims.sweep()
    with contextlib.suppress(KjuError, OSError):
        memory.sweep()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
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
_MACHINES = (parameters.Name, parameters.AnyName, parameters.Target, parameters.AnyTarget)


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
        "machine", inspect.Parameter.KEYWORD_ONLY, default="", annotation=parameters.Machine
    )
    plain = [one.replace(annotation=hints.get(one.name, one.annotation)) for one in own]
    command.__signature__ = inspect.Signature([*plain, option])  # type: ignore[attr-defined]
    command.__annotations__ = {**hints, "machine": parameters.Machine}
    return command


def group(**functions: Callable[..., Any]) -> typer.Typer:
    """Return a group of commands, by their names."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, rich_markup_mode=None, context_settings=CONTEXT
    )
    for name, function in functions.items():
        app.command(name, cls=Command, context_settings=CONTEXT)(add_machine_option(function))
    return app
