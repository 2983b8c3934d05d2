"""The `kju` command."""

from __future__ import annotations

import _thread
import atexit
import contextlib
import gc
import os
import signal
import sys
import time
from types import TracebackType
from typing import Any, NoReturn

#: Seconds after which a signal that Python could not raise is sent again.
_AGAIN = 0.01


def _report_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print nothing for Ctrl+C: it may arrive while modules are imported, before any handler."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    if cause is None:
        sys.__excepthook__(kind, error, traceback)
    elif cause is not error:
        # Python makes another error of one in `__set_name__`, such as that of an imported class.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def _send_again(unraisable: Any) -> None:  # noqa: ANN401  the type exists for checkers only
    """Send a signal again that arrived in a destructor or a callback, which cannot raise it."""
    error = unraisable.exc_value
    if not isinstance(error, (KeyboardInterrupt, SystemExit)):
        sys.__unraisablehook__(unraisable)
        return
    code = error.code if isinstance(error, SystemExit) else None
    number = code - 128 if isinstance(code, int) else signal.SIGINT

    def send() -> None:
        time.sleep(_AGAIN)  # until this hook has returned
        os.kill(os.getpid(), number)

    # Not `threading`: it may be what is being imported.
    _thread.start_new_thread(send, ())


# First of all, so that it holds during the imports below and those of the commands.
sys.excepthook = _report_uncaught
sys.unraisablehook = _send_again


def main() -> None:
    """Run the command line of this process; never returns."""
    from io import TextIOWrapper

    from .app import run

    # A name or a reason may contain characters that the terminal's encoding lacks.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    # The interpreter's own clean-up has nothing to undo, and would print a traceback.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "PySide6.QtCore" in sys.modules:
        _exit_without_qt(code)
    # Its garbage collections would take a quarter of the processor time of a short command.
    gc.freeze()
    raise SystemExit(code)


def _exit_without_qt(code: int) -> NoReturn:
    """Exit without the interpreter's end, in which Qt's objects and Python's go in no order.

    A thread or a signal that reaches one of them then ends the process by SIGSEGV.
    """
    atexit._run_exitfuncs()  # such as the flush of preferences
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or a full disk
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
