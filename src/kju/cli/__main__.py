"""The `kju` command."""

from __future__ import annotations

import sys
from types import TracebackType


def _report_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Print nothing for Ctrl-C: it may arrive while modules are imported, before any handler."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)


# First of all, so that it holds during the imports below and those of the commands.
sys.excepthook = _report_uncaught


def main() -> None:
    """Run the command line of this process; never returns."""
    import signal
    from io import TextIOWrapper

    from .app import run

    # A name or a reason may contain characters that the terminal's encoding lacks.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    # The interpreter's own clean-up has nothing to undo, and would print a traceback.
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise SystemExit(code)


if __name__ == "__main__":
    main()
