"""Colour, and the progress of long work, on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

BOLD, RED, GREEN, YELLOW = "1", "31", "32", "33"
#: Seconds before progress is shown: most work is done by then.
DELAY = 0.5


def uses_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that shows colour, and the user wants it.

    Source:
        https://no-color.org
    """
    if os.environ.get("NO_COLOR") or os.environ.get("KJU_COLOURS") == "none":
        return False
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def styled(text: str, style: str, wanted: bool | None = None) -> str:
    """Return a text in a colour or in bold, if standard output shows it (or as *wanted*)."""
    wanted = uses_colour(sys.stdout) if wanted is None else wanted
    return f"\x1b[{style}m{text}\x1b[0m" if wanted else text


@contextlib.contextmanager
def progress(work: str) -> Iterator[None]:
    """Show *work* and its seconds on the terminal's last line until it ends; then clear the line.

    Nothing is shown in a pipe, nor for work of less than `DELAY`.
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


def _show_seconds(work: str, done: threading.Event) -> None:
    seconds, shown = 0, False
    while not done.wait(DELAY if not shown else 1.0):
        sys.stderr.write(f"\r\x1b[K{work} ... {seconds} s" if shown else f"\r\x1b[K{work} ...")
        sys.stderr.flush()
        shown, seconds = True, seconds + 1
    if shown:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
