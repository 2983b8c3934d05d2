"""Trace events of QEMU, taken out of what it prints. I/O-free.

QEMU's trace events can be switched on while it runs, and are printed to standard error, a line
each. They are for us and not for whoever reads the log.

Source:
    docs/devel/tracing.rst, the "log" backend.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: A line longer than this is none of ours, and is not kept until its end comes.
LONGEST = 512
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


class Traces:
    """Passes lines of trace events to whoever wants them, and everything else on."""

    def __init__(self) -> None:
        self._wanted: dict[bytes, Callable[[bytes], None]] = {}
        self._begun = b""
        self._at_start = True

    def listen(self, name: str, heard: Callable[[bytes], None]) -> None:
        """Have *heard* called with each line of the event *name*."""
        self._wanted[name.encode()] = heard

    def receive_data(self, data: bytes) -> bytes:
        """Take what QEMU printed, in pieces of any size; return what is not ours of it."""
        if not self._wanted and not self._begun:
            return data
        rest = bytearray()
        # Not `splitlines`: a carriage return ends none.
        for line in _LINE.findall(self._begun + data):
            whole = line.endswith(b"\n")
            if self._at_start and not whole and len(line) < LONGEST and self._may_be_ours(line):
                self._begun = line
                return bytes(rest)
            ours = self._at_start and whole and len(line) <= LONGEST
            if not (ours and self._take(line)):
                rest += line
            self._at_start = whole
        self._begun = b""
        return bytes(rest)

    def _may_be_ours(self, line: bytes) -> bool:
        return any(name.startswith(line) or line.startswith(name) for name in self._wanted)

    def _take(self, line: bytes) -> bool:
        heard = self._wanted.get(line.split(b" ", 1)[0].rstrip())
        if heard is not None:
            heard(line)
        return heard is not None
