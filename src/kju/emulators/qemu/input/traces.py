"""QEMU's trace events, taken out of its output. I/O-free.

QEMU's trace events can be switched on while it runs, and are printed to standard error, a line
each. They are for kju, not for the log.

Source:
    docs/devel/tracing.rst, the "log" backend.
"""

from __future__ import annotations

import re
from collections.abc import Callable

#: A longer line is no trace event, and is passed on before its end arrives.
MAX_LINE = 512
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


class Traces:
    """Passes lines of trace events to their listeners, and the rest on."""

    def __init__(self) -> None:
        self._listeners: dict[bytes, Callable[[bytes], None]] = {}
        self._incomplete = b""
        self._at_start = True

    def listen(self, name: str, listener: Callable[[bytes], None]) -> None:
        """Call *listener* with each line of the event *name*."""
        self._listeners[name.encode()] = listener

    def receive_data(self, data: bytes) -> bytes:
        """Take QEMU's output, in pieces of any size; return it without trace events."""
        if not self._listeners and not self._incomplete:
            return data
        rest = bytearray()
        # Not `splitlines`: a carriage return does not end a line.
        for line in _LINE.findall(self._incomplete + data):
            whole = line.endswith(b"\n")
            if self._at_start and not whole and len(line) < MAX_LINE and self._may_be_event(line):
                self._incomplete = line
                return bytes(rest)
            may_be_event = self._at_start and whole and len(line) <= MAX_LINE
            if not (may_be_event and self._pass_on(line)):
                rest += line
            self._at_start = whole
        self._incomplete = b""
        return bytes(rest)

    def _may_be_event(self, line: bytes) -> bool:
        return any(name.startswith(line) or line.startswith(name) for name in self._listeners)

    def _pass_on(self, line: bytes) -> bool:
        listener = self._listeners.get(line.split(b" ", 1)[0].rstrip())
        if listener is not None:
            listener(line)
        return listener is not None
