"""A command in a terminal of its own, and what that terminal shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Sequence

from .vt import Terminal
from .wait import HANG


class InTerminal:
    """A process whose controlling terminal is a pty, read into a `Terminal`."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int,
        rows: int,
        *,
        kitty: bool = False,
        **environment: str,
    ) -> None:
        self.master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.resize(columns, rows, Terminal(columns, rows, kitty=kitty))
        self.raw = b""
        self._slave = slave
        self.process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environment,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, columns: int, rows: int, screen: Terminal) -> None:
        """Give the terminal another size, and forget what it shows."""
        self.screen = screen
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read(self, seconds: float) -> bool:
        """Read what has been written; False where nothing was, or the process has ended."""
        ready, _, _ = select.select([self.master], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.raw += data
        # A sequence or a character that is cut in two waits for its other half.
        whole = self.raw
        if cut := re.search(rb"(\x1b(\[[0-9;?<>]*)?|[\xc0-\xff][\x80-\xbf]*)$", whole):
            try:
                cut[0].decode()
                complete = not cut[0].startswith(b"\x1b")
            except UnicodeDecodeError:
                complete = False
            if not complete:
                whole = whole[: cut.start()]
        self.raw = self.raw[len(whole) :]
        self.screen.feed(whole)
        while self.screen.answers:
            os.write(self.master, self.screen.answers.pop(0))
        return True

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Read until the condition holds."""
        deadline = time.monotonic() + HANG
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not happen; the screen: {self.screen.text()}")
            self.read(0.05)

    def type(self, keys: bytes) -> None:
        """Type keys."""
        os.write(self.master, keys)

    def ended(self) -> int:
        """Read until the process has ended; returns its status."""
        self.until(lambda: self.process.poll() is not None, "the end of the process")
        while self.read(0):
            pass
        return self.process.wait()

    def assert_given_back(self) -> None:
        """The terminal is as it was before."""
        screen = self.screen
        assert screen.mode(7) and screen.mode(25) and not screen.mode(1049)
        assert not any(map(screen.mode, (1003, 1004, 1006, 2004))) and not screen.keyboard
        assert termios.tcgetattr(self._slave) == self.before

    def close(self) -> None:
        """End the process, and take the terminal away."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)
