"""SHELL: the terminal of this process, taken over and always restored.

Rules:

- However the process ends or stops meanwhile (an exception, Ctrl+C, Ctrl+Z, SIGTERM, SIGHUP), the
  user gets back the screen, the cursor and the line editing as they were.
- The first signal that ends it disables the others until the terminal is restored: a second one
  (Ctrl+C twice, or Ctrl+C and the parent's SIGTERM) would interrupt the restoring.
- `TakenOver` works on the main thread only: Python handles signals there.
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
from .parser import POP_KITTY, PUSH_KITTY, QUERY_KITTY, START_REPORTS, STOP_REPORTS

# Alternate screen, cursor hidden, no wrapping at the right edge.
_ENTER = b"\x1b[?1049h\x1b[?25l\x1b[?7l"
_LEAVE = b"\x1b[0m\x1b[?7h\x1b[?25h"
_READ_BYTES = 4096


class Tty:
    """A terminal: its modes, its size, and the bytes to and from it.

    Args:
        output: Descriptor to write to.
        keyboard: Descriptor of the keyboard; None without a keyboard.
        raw: Every key is read as bytes, Ctrl+C and Ctrl+Z included, and mouse, focus and pastes
            are reported. Else the keys that end and stop a program do so.

    Attributes:
        resized: The size or the contents have changed; the program that draws begins anew.
    """

    def __init__(self, output: int, keyboard: int | None, *, raw: bool = False) -> None:
        self._output = output
        self._input = keyboard
        self.raw = raw
        self._line_editing: list[Any] | None = None
        self._entered = False
        self._kitty = False
        self.resized = False

    def take_over(self) -> None:
        """Switch to the alternate screen, and to unbuffered keys."""
        if self._input is not None:
            self._line_editing = termios.tcgetattr(self._input)
            (tty.setraw if self.raw else tty.setcbreak)(self._input, termios.TCSADRAIN)
        self._entered = True
        self.write(_ENTER + (START_REPORTS + QUERY_KITTY if self.raw else b""))

    def use_kitty(self) -> None:
        """Switch Kitty's keyboard protocol on; the terminal has answered `QUERY_KITTY`."""
        if self._entered and not self._kitty:
            self._kitty = True
            self.write(PUSH_KITTY)

    def restore(self) -> None:
        """Restore the screen and the line editing; do nothing where that was done."""
        # The terminal may not exist any more, as after a hang-up: nothing to restore.
        with contextlib.suppress(OSError, termios.error):
            if self._entered:
                self._entered = False
                termios.tcflow(self._output, termios.TCOON)  # Ctrl+S would block the writes
                reports = STOP_REPORTS if self.raw else b""
                if self._kitty:
                    self._kitty = False
                    reports = POP_KITTY + reports
                # Where there is no alternate screen, later output begins below the picture.
                below = f"\x1b[{self.size()[1]};1H\r\n".encode()
                self.write(reports + _LEAVE + below + b"\x1b[?1049l")
        with contextlib.suppress(OSError, termios.error):
            if self._input is not None and self._line_editing is not None:
                # Reports that are under way must not reach the shell as typed characters.
                when = termios.TCSAFLUSH if self.raw else termios.TCSADRAIN
                termios.tcsetattr(self._input, when, self._line_editing)
                self._line_editing = None

    def size(self) -> tuple[int, int]:
        """Return columns and rows."""
        with contextlib.suppress(OSError):
            columns, rows = os.get_terminal_size(self._output)
            if columns and rows:
                return columns, rows
        return 80, 24

    def write(self, data: bytes) -> None:
        """Write everything; a slow terminal makes this wait, and the next picture is newer."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._output, rest) :]
            except BlockingIOError:
                select.select([], [self._output], [])

    def read(self, seconds: float, wake: int | None = None) -> bytes:
        """Return typed bytes; empty after *seconds*, or when *wake* is readable."""
        waited = [fd for fd in (self._input, wake) if fd is not None]
        ready, _, _ = select.select(waited, [], [], max(0.0, seconds))
        if self._input is None or self._input not in ready:
            return b""
        typed = os.read(self._input, _READ_BYTES)
        if not typed:  # the terminal hung up; it would stay readable for ever
            self._input = None
        return typed


class TakenOver:
    """Context manager that takes a terminal over and restores it after any signal."""

    def __init__(self, terminal: Tty) -> None:
        self._terminal = terminal
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        actions = dict.fromkeys(ending_signals(), _on_end) | {
            signal.SIGWINCH: self._on_resize,
            signal.SIGTSTP: self._on_stop,
        }
        for number, action in actions.items():
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, action)
        # For a signal between the last line of a `with` block and `__exit__`'s first.
        atexit.register(self._terminal.restore)
        try:
            self._terminal.take_over()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            _ignore_endings()
        finally:
            self._terminal.restore()
            atexit.unregister(self._terminal.restore)
            for number, action in self._handlers.items():
                signal.signal(number, action)

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        self._terminal.resized = True

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        """Restore the terminal, stop, and take it over again when continued."""
        self._terminal.restore()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._on_stop)
        self._terminal.take_over()
        self._terminal.resized = True


def own_terminal(*, raw: bool) -> Tty:
    """Return the terminal on standard output, with the keyboard on standard input."""
    keyboard = None
    # Standard input may have been closed by the parent.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    return Tty(sys.stdout.fileno(), keyboard, raw=raw)


def _on_end(number: int, frame: FrameType | None) -> None:
    _ignore_endings()
    raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def _ignore_endings() -> None:
    for number in ending_signals():
        # Not SIG_IGN: Python complains about it where the signal is pending already.
        signal.signal(number, _on_late_signal)


def _on_late_signal(number: int, frame: FrameType | None) -> None:
    pass
