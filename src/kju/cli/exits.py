"""The exit codes of the `kju` command, and which error ends with which.

They are stable: scripts may rely on them. ``docs`` show this table.
"""

from __future__ import annotations

from enum import IntEnum

from .. import errors
from ..client.targets import UnreadableError
from ..escaping import one_line


class Exit(IntEnum):
    """What `kju` ends with."""

    OK = 0
    """It is done."""
    FAILURE = 1
    """It could not be done, for a reason with no code of its own."""
    USAGE = 2
    """The command line asks for something that cannot be."""
    NOT_FOUND = 3
    """No machine has this name: none that runs, or none that is kept."""
    EXISTS = 4
    """A machine has this name already."""
    QEMU = 5
    """The emulator is missing, too old, refused its arguments, or failed."""
    TIMEOUT = 6
    """What was waited for did not happen in time."""
    SURFACE = 7
    """The surface cannot be read, or has no picture."""
    GONE = 8
    """The machine or the producer ended meanwhile."""
    LIMIT = 9
    """A limit of the system is in the way."""
    INTERRUPTED = 130
    """Ctrl-C."""
    TERMINATED = 143
    """SIGTERM; in general 128 and the signal's number."""


# The first that fits counts: the most particular come first.
_CODES: tuple[tuple[type[Exception], Exit], ...] = (
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


def code_of(error: Exception) -> Exit:
    """The exit code for an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILURE)


def line_of(error: Exception) -> str:
    """An error as one line, without what a terminal would obey: QEMU and files have a say in it."""
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return one_line(" ".join(text.split()))
