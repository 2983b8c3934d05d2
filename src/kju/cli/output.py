"""The output of the `kju` command: exit codes, errors, colour, and the progress of long work.

The exit codes are stable: scripts may rely on them. The manual shows their table.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    from ..client.machine import Machine

BOLD, RED, GREEN, YELLOW = "1", "31", "32", "33"
#: Seconds before progress is shown: most work is done by then.
_DELAY = 0.5


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
    """Ctrl+C."""
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
        (FileNotFoundError, Exit.USAGE),  # a path that the user typed
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
    """Discard further output after the reader has closed the pipe; this is not an error."""
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
    typer.echo(f"{styled('kju:', RED, _uses_colour(sys.stderr))} {text}", err=True)
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
        text = _message(error)
        return Exit.USAGE, f"{text}{' ' if text.endswith('?') else '; '}see: {path} --help"
    if isinstance(error, ImportError) and (explained := extras.explain(error)) is not None:
        error = explained
    if isinstance(error, OSError):
        error = descriptor_limit(error) or error
    if not isinstance(error, (KjuError, OSError)):
        raise error
    return code_of(error), line_of(error)


def _message(error: Any) -> str:  # noqa: ANN401  typer's own classes have no public names
    """Return the message of a word that typer refused."""
    if not hasattr(error, "possibilities"):
        text: str = error.format_message().rstrip(".")
        return text[:1].lower() + text[1:].replace(". Did you", "; did you")
    # typer compares the dashes as well, and suggests --cpus for --bogus.
    known = {flag.lstrip("-"): flag for flag in error.possibilities or ()}
    close = difflib.get_close_matches(error.option_name.lstrip("-"), known, 1)
    return f"no such option: {error.option_name}" + (
        f"; did you mean {known[close[0]]}?" if close else ""
    )


def _uses_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that shows colour, and the user wants it.

    Source:
        https://no-color.org
    """
    if os.environ.get("NO_COLOR") or os.environ.get("KJU_COLOURS") == "none":
        return False
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def styled(text: str, style: str, wanted: bool | None = None) -> str:
    """Return a text in a colour or in bold, if standard output shows it (or as *wanted*)."""
    wanted = _uses_colour(sys.stdout) if wanted is None else wanted
    return f"\x1b[{style}m{text}\x1b[0m" if wanted else text


@contextlib.contextmanager
def reporting(*machines: Machine) -> Iterator[None]:
    """Report machines that have started; end them if a signal ends the command before that."""
    try:
        yield
        sys.stdout.flush()
    except (KeyboardInterrupt, SystemExit):
        from ..errors import KjuError

        for machine in machines:
            with contextlib.suppress(KjuError):
                machine.stop()
        raise


@contextlib.contextmanager
def progress(work: str | Callable[[], str]) -> Iterator[None]:
    """Show *work* and its seconds on the terminal's last line until it ends; then clear the line.

    Nothing is shown in a pipe, nor for work of less than `_DELAY`.

    Args:
        work: A text; or a function that returns the present one, on another thread.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show_seconds, args=(work, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show_seconds(work: str | Callable[[], str], done: threading.Event) -> None:
    seconds, shown = 0, False
    while not done.wait(_DELAY if not shown else 1.0):
        text = work if isinstance(work, str) else work()
        sys.stderr.write(f"\r\x1b[K{text} ... {seconds} s" if shown else f"\r\x1b[K{text} ...")
        sys.stderr.flush()
        shown, seconds = True, seconds + 1
    if shown:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows of words in columns."""
    from ..escaping import one_line

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (one_line(word).ljust(w) for word, w in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
