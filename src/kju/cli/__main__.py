"""The `kju` command. Nothing heavy is imported before a command runs: see `cli`."""

from __future__ import annotations

import signal
import sys
from io import TextIOWrapper
from types import FrameType

from ..signals import ending_signals


def main() -> None:
    """Run the command line of this process; never returns."""
    from .app import app, split_qemu_arguments

    # As Ctrl-C does: so that machines end and terminals are given back, whoever ends us.
    for number in ending_signals():
        if signal.getsignal(number) == signal.SIG_DFL:  # SIGINT has Python's own handler
            signal.signal(number, _end)
    # A name or a reason may hold what the terminal's encoding does not.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    words, qemu = split_qemu_arguments(sys.argv[1:])
    app(words, prog_name="kju", obj=qemu)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
