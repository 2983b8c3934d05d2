"""The signals that end a command."""

from __future__ import annotations

import signal

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ending_signals() -> list[signal.Signals]:
    """Return the signals that end a command.

    Signals that were ignored when the process started stay ignored: `nohup` ignores SIGHUP, and a
    shell without job control ignores SIGINT for a background job. Both mean "keep running".
    """
    return [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]
