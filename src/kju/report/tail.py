"""SHELL: a machine's input log, read while it is written."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from pathlib import Path

from ..errors import FormatError
from ..protocol.input_log import Input, decode
from ..store.log_files import LIMIT

# Bytes of one read; a full log has 1 MiB.
_READ_BYTES = 1 << 18
# As much as the machine itself keeps of its input.
_MAX_BYTES = 2 * LIMIT


class Tail:
    """The lines of a log from now on.

    A full log is renamed and another file begun: the rest of the old file is read first. The file
    stays open, so that its last lines can be read after the machine has ended.

    Args:
        path: Path of the current file, which may be missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self._fd = -1
        self._open()
        if self._fd >= 0:
            os.lseek(self._fd, 0, os.SEEK_END)

    def read(self) -> list[bytes]:
        """Return the new complete lines, without their ends."""
        lines = self._lines()
        if self._renamed():
            lines += self._lines()
            self._open()
            lines += self._lines()
        return lines

    def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        while self._fd >= 0 and (data := os.read(self._fd, _READ_BYTES)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            lines += whole
        return lines

    def _renamed(self) -> bool:
        try:
            present = self._path.stat()
        except OSError:
            return False  # the machine has ended, and its folder is removed
        return self._fd < 0 or not os.path.samestat(present, os.fstat(self._fd))

    def _open(self) -> None:
        self.close()
        self._rest = b""
        with contextlib.suppress(OSError):
            self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class RecordedInput:
    """The newest lines of an input log, with the times at which they were read.

    Args:
        path: Path of the log; None records nothing.
        console: The console whose input is recorded.
        offset: Seconds from the log's clock to the record's.

    Attributes:
        lost: Lines that were dropped because there were too many.
    """

    def __init__(self, path: Path | None, console: int, offset: float) -> None:
        self._tail = Tail(path) if path is not None else None
        self.console = console
        self._offset = offset
        self._lines: deque[tuple[float, float, bytes]] = deque()
        self._bytes = 0
        self.lost: int = 0
        self._read_at = 0.0

    def read(self, now: float) -> None:
        """Take the lines since the last time; *now* is on the record's clock."""
        if self._tail is None:
            return
        since, self._read_at = self._read_at, now
        for line in self._tail.read():
            self._lines.append((since, now, line))
            self._bytes += len(line)
        while self._bytes > _MAX_BYTES:
            self._bytes -= len(self._lines.popleft()[2])
            self.lost += 1

    def entries(self) -> list[Input]:
        """Return the entries of all consoles, with times on the record's clock."""
        return [entry for line in self._lines for entry in timed_entries(*line, self._offset)]

    def close(self) -> None:
        """Close the log."""
        if self._tail is not None:
            self._tail.close()


def timed_entries(since: float, until: float, line: bytes, offset: float) -> list[Input]:
    """Decode a line, and set its times to another clock.

    The times are limited to those of the reads around it: a clock may be set.

    Args:
        since: Time of the read before, on the new clock.
        until: Time of the read that returned the line.
        line: The line; an invalid one gives no entries.
        offset: Seconds from the log's clock to the new one.
    """
    from msgspec.structs import replace

    with contextlib.suppress(FormatError):
        return [
            replace(entry, time=min(max(entry.time - offset, since), until))
            for entry in decode(line)
        ]
    return []
