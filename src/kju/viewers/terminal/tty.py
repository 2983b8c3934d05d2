"""SHELL: the terminal of this process, taken over and always given back.

Rules:

- Whatever happens while it is taken over (an exception, Ctrl-C, Ctrl-Z, SIGTERM, SIGHUP),
  the user finds the screen, the cursor and the line editing as they were.
- The first signal that ends it makes it deaf to the others until that is done: a second one
  (Ctrl-C twice, or Ctrl-C and the parent's SIGTERM) would end the giving back instead.
- Only the main thread may use it: signals are handled there.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import sys
import termios
import tty
from types import FrameType
from typing import Any, Self

from ...signals import ending_signals

# Alternate screen, cursor hidden, no wrapping at the right edge.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = b"\x1b[0m\x1b[?7h\x1b[?25h"


class Tty:
    """The terminal on standard output, and the keys typed on standard input.

    Attributes:
        resized: The size or the contents are no longer what they were; whoever draws
            clears it and begins again.
    """

    def __init__(self) -> None:
        self._output = sys.stdout.fileno()
        self._input = _stdin_tty()
        self._line_editing: list[Any] | None = None
        self._handlers: dict[int, Any] = {}
        self._entered = False
        self.resized = False

    # ---- Taking over and giving back

    def __enter__(self) -> Self:
        actions = dict.fromkeys(ending_signals(), _on_end) | {
            signal.SIGWINCH: self._on_resize,
            signal.SIGTSTP: self._on_stop,
        }
        for number, action in actions.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, action)
        # For the signal that comes between the last line of a `with` and `__exit__`'s first.
        atexit.register(self._give_back)
        try:
            self._take()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            _ignore_endings()
        finally:
            self._give_back()
            atexit.unregister(self._give_back)
            for number, action in self._handlers.items():
                signal.signal(number, action)

    def _take(self) -> None:
        if self._input is not None:
            self._line_editing = termios.tcgetattr(self._input)
            tty.setcbreak(self._input, termios.TCSADRAIN)
        self._entered = True
        self.write(_ENTER)

    def _give_back(self) -> None:
        # The terminal may be gone, as after a hang-up: then there is nothing to give back.
        with contextlib.suppress(OSError, termios.error):
            if self._entered:
                self._entered = False
                termios.tcflow(self._output, termios.TCOON)  # Ctrl-S would keep us here
                # Where there is no alternate screen, what follows begins below the picture.
                self.write(_LEAVE + f"\x1b[{self.size()[1]};1H\r\n".encode() + b"\x1b[?1049l")
        with contextlib.suppress(OSError, termios.error):
            if self._input is not None and self._line_editing is not None:
                termios.tcsetattr(self._input, termios.TCSADRAIN, self._line_editing)
                self._line_editing = None

    # ---- Signals

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        self.resized = True

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-Z: give the terminal back, stop, and take it again when woken."""
        self._give_back()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._on_stop)
        self._take()
        self.resized = True

    # ---- Using it

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(self._output)
            if columns and rows:
                return columns, rows
        return 80, 24

    def write(self, data: bytes) -> None:
        """Write everything; a slow terminal makes this wait, and what it shows then is newer."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._output, rest) :]
            except BlockingIOError:
                select.select([], [self._output], [])

    def keys(self, seconds: float) -> bytes:
        """What was typed, waiting at most so long for it."""
        ready, _, _ = select.select([] if self._input is None else [self._input], [], [], seconds)
        if not ready:
            return b""
        typed = os.read(self._input or 0, 256)
        if not typed:  # the terminal hung up, and would be ready for ever
            self._input = None
        return typed


def _stdin_tty() -> int | None:
    try:
        return sys.stdin.fileno() if sys.stdin.isatty() else None
    except (AttributeError, OSError, ValueError):  # closed by whoever started us
        return None


def _on_end(number: int, frame: FrameType | None) -> None:
    _ignore_endings()
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _ignore_endings() -> None:
    for number in ending_signals():
        # Not SIG_IGN: Python complains of it where the signal has come already.
        signal.signal(number, _on_too_late)


def _on_too_late(number: int, frame: FrameType | None) -> None:
    pass
