"""SHELL: following a machine's log of input while it is written, and to its end."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

# A log that is full is 1 MiB; what is read at once stays below that.
_AT_ONCE = 1 << 18


class Tail:
    """The lines of a log from now on.

    A log that is full is renamed and another is begun: the rest of the old one is read first. The
    file stays open, so that what was written before a machine ended can be read after it.

    Args:
        path: Of its present file; it may not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._fd = -1
        self._open()
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> list[bytes]:
        """The whole lines that are new, without their ends."""
        lines = self._lines()
        if self._renamed():
            lines += self._lines()
            self._open()
            lines += self._lines()
        return lines

    def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        while self._fd >= 0 and (data := os.read(self._fd, _AT_ONCE)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            lines += whole
        return lines

    def _renamed(self) -> bool:
        try:
            present = self._path.stat()
        except OSError:
            return False  # the machine has ended, and its folder with it
        return self._fd < 0 or not os.path.samestat(present, os.fstat(self._fd))

    def _open(self) -> None:
        self.close()
        self._rest = b""
        with contextlib.suppress(OSError):
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self) -> None:
        """Read no more. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
