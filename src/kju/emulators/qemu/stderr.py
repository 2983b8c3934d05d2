"""QEMU's standard error: its trace events, and its last lines as one error message. I/O-free.

Source:
    docs/devel/tracing.rst of QEMU, the "log" backend; util/error-report.c (error_report,
    error_printf); block.c (the warning about a probed format).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePath

from .arguments.plan import CONFLICTS

#: The number of last lines to read for `error_message`: all registers follow a fatal error.
LAST_LINES = 60
#: The number of further lines in a message, besides the error and its advice.
_OTHERS = 3

_PROBED = re.compile(
    r"WARNING: Image format was not specified for .* and probing guessed raw\."
    r"|\s*Automatically detecting the format is dangerous for raw images, .*"
    r"|\s*Specify the 'raw' format explicitly to remove the restrictions\."
)
_HARMLESS = re.compile(r"warning: |info: ")
_LIST = re.compile(r"[Uu]se -([\w-]+) (?:help|\?) to list .*")
_LOCKED = re.compile(r"Is another process using the image \[(.*)\]\?")
_OPTION = re.compile(r"(?<![\w-])--?([a-z][\w-]*)")
#: A longer line is not a trace event; it is passed on before its end arrives.
MAX_LINE = 512
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


def error_message(output: Sequence[str], program: str) -> str:
    """Return QEMU's last output as one message: the error, then advice, then other lines.

    QEMU begins an error with its own name; lines of advice follow without it. Advice that names an
    option which kju refuses is dropped. So is the warning about an image whose format QEMU probes,
    because kju lets it probe on purpose (`store.image`).

    Args:
        output: The lines of QEMU's output, at least one.
        program: The path by which it was started.
    """
    names = (f"{program}: ", f"{PurePath(program).name}: ", "qemu: ")
    lines = [line for line in output if not _PROBED.fullmatch(line)] or list(output)
    bare = [_without_name(line, names) for line in lines]
    errors = [
        index
        for index, line in enumerate(lines)
        if line.startswith(names) and not _HARMLESS.match(bare[index])
    ]
    at = errors[-1] if errors else len(lines) - 1
    after = [index for index in range(at + 1, len(lines)) if not lines[index].startswith(names)]
    # The registers follow a fatal error of the processor: they are no advice.
    follows = [] if bare[at].startswith("fatal: ") else after
    advice = [found for index in follows if (found := _advice(bare[index], program))]
    others = [text for index, text in enumerate(bare) if index != at and index not in after]
    others = others[-_OTHERS:]
    text = "; ".join([bare[at], *advice])
    return f"{text} (QEMU also said: {' | '.join(others)})" if others else text


def _without_name(line: str, names: tuple[str, ...]) -> str:
    for name in names:
        line = line.removeprefix(name)
    return line


def _advice(line: str, program: str) -> str:
    """Return a line of advice; empty if kju's users cannot follow it."""
    if found := _LIST.fullmatch(line):
        return f"to list them: {program} -{found[1]} help"
    if found := _LOCKED.fullmatch(line):
        return f"another process uses {found[1]}; if it is a machine of kju ls, stop or clone that"
    if any(name in CONFLICTS for name in _OPTION.findall(line)):
        return ""
    return line.strip()


class Traces:
    """Removes QEMU's trace events from its output, and passes each to its listener.

    Trace events can be switched on while QEMU runs. Each is a line on standard error. They are for
    kju, not for the log.
    """

    def __init__(self) -> None:
        self._listeners: dict[bytes, Callable[[bytes], None]] = {}
        self._incomplete = b""
        self._at_start = True

    def listen(self, name: str, listener: Callable[[bytes], None]) -> None:
        """Call *listener* with each line of the event *name*."""
        self._listeners[name.encode()] = listener

    def receive_data(self, data: bytes) -> bytes:
        """Return QEMU's output, in pieces of any size, without its trace events."""
        if not self._listeners and not self._incomplete:
            return data
        rest = bytearray()
        # `splitlines` would end a line at a carriage return, too.
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
