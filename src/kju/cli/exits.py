"""The exit codes of the `kju` command, which error has which, and how an error is printed.

The codes are stable: scripts may rely on them. The manual shows this table.
"""

from __future__ import annotations

import json
import os
import sys
from enum import IntEnum

import typer

from .terminal import RED, styled, uses_colour


class Exit(IntEnum):
    """The exit codes of `kju`."""

    OK = 0
    """The command succeeded."""
    FAILURE = 1
    """The command failed, for a reason without a code of its own."""
    USAGE = 2
    """A command, an option or a value is wrong."""
    NOT_FOUND = 3
    """No running, or no defined, machine has this name."""
    EXISTS = 4
    """A machine has this name already."""
    QEMU = 5
    """The emulator is missing, too old, rejected its arguments, or failed."""
    TIMEOUT = 6
    """A time limit passed."""
    SURFACE = 7
    """The surface cannot be read, or has no picture."""
    GONE = 8
    """The machine or the producer ended meanwhile."""
    LIMIT = 9
    """A limit of the operating system was reached."""
    INTERRUPTED = 130
    """Ctrl-C."""
    TERMINATED = 143
    """SIGTERM; in general 128 and the signal's number."""


def code_of(error: BaseException) -> Exit:
    """Return the exit code of an error."""
    from .. import errors
    from ..client.targets import UnreadableError

    # The first that fits counts: the most particular come first.
    codes: tuple[tuple[type[BaseException], Exit], ...] = (
        (errors.MachineNotFoundError, Exit.NOT_FOUND),
        (errors.MachineExistsError, Exit.EXISTS),
        (errors.EmulatorError, Exit.QEMU),
        (errors.WaitTimeoutError, Exit.TIMEOUT),
        (errors.MachineGoneError, Exit.GONE),
        (errors.ProducerGoneError, Exit.GONE),
        (UnreadableError, Exit.SURFACE),
        (errors.FormatError, Exit.SURFACE),
        (errors.MemoryLostError, Exit.SURFACE),
        (errors.UnavailableError, Exit.SURFACE),
        (errors.InconsistentError, Exit.SURFACE),
        (errors.LimitError, Exit.LIMIT),
        (errors.UsageError, Exit.USAGE),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), Exit.FAILURE)


def line_of(error: BaseException) -> str:
    """Return an error as one line, escaped: QEMU, files and peers may have written parts of it."""
    from ..escaping import one_line

    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return one_line(" ".join(text.split()))


def discard_output() -> None:
    """Discard further output: the reader of the pipe has closed it, which is no error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report_error(error: BaseException, *, as_json: bool) -> int:
    """Print what ended a command, and return the exit code.

    The error is one line on standard error. With ``--json`` standard output has it as well.

    Raises:
        BaseException: *error*, if it is a fault of our own.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else Exit.FAILURE
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return Exit.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        discard_output()
        return Exit.OK
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]  # typer's; it prints the help
        return Exit.USAGE
    code, text = _described(error)
    typer.echo(f"{styled('kju:', RED, uses_colour(sys.stderr))} {text}", err=True)
    if as_json:
        name = code.name.lower().replace("_", "-")
        typer.echo(json.dumps({"error": {"code": int(code), "kind": name, "message": text}}))
    return code


def _described(error: BaseException) -> tuple[Exit, str]:
    """Return the code and the line of an error."""
    from .. import extras
    from ..errors import KjuError
    from ..files import descriptor_limit

    if hasattr(error, "format_message"):  # typer's, for a word of the command line
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "kju"
        return Exit.USAGE, f"{error.format_message().rstrip('.')}; see: {path} --help"
    if isinstance(error, ImportError) and (explained := extras.explain(error)) is not None:
        error = explained
    if isinstance(error, OSError):
        error = descriptor_limit(error) or error
    if not isinstance(error, (KjuError, OSError)):
        raise error
    return code_of(error), line_of(error)
