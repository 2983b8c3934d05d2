"""The log of a machine's input, with times. I/O-free.

A log is lines of JSON, each of them one `Input`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from ..errors import FormatError
from .messages import Keys, Point
from .values import Action, Console, KeySteps

#: Lines of a log that is read: more than a machine writes.
MAX_LINES = 1 << 20


class Input(Struct, frozen=True, omit_defaults=True):
    """Input sent at one time: keys or pointer actions.

    Attributes:
        time: Seconds since the machine was started. Loading a snapshot sets the clock to the time
            of the last input before it was saved.
        console: The console that received it.
        keys: Keyboard steps that were sent together.
        pointer: Actions of the pointer.
        caps_lock: The guest's Caps Lock lamp was on when the keys were sent; False if unknown.
    """

    time: float
    console: Console = 0
    keys: KeySteps = []
    pointer: list[Action] = []
    caps_lock: bool = False

    def requests(self) -> Iterator[Keys | Point]:
        """Yield the requests that send it again."""
        if self.keys:
            yield Keys(console=self.console, steps=self.keys)
        if self.pointer:
            yield Point(console=self.console, actions=self.pointer)


def encode(entry: Input) -> bytes:
    """Return one line of a log, with its end."""
    return msgspec.json.encode(entry) + b"\n"


def decode(text: bytes) -> list[Input]:
    """Read a whole log.

    Raises:
        FormatError: A line is not valid; the message has its number and the reason.
    """
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise FormatError(f"a log of input has at most {MAX_LINES} lines, not {len(lines)}")
    return [_decode_line(number, line) for number, line in enumerate(lines, 1) if line.strip()]


# Made by the import: threads must not make it at the same time (`framing`).
_decode = msgspec.json.Decoder(Input).decode


def _decode_line(number: int, line: bytes) -> Input:
    try:
        return _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(
            f"line {number} of the input log is invalid: {error}", line[:80]
        ) from error


def schedule(entries: Iterable[Input], speed: float) -> Iterator[tuple[float, Keys | Point]]:
    """Yield the requests to send, each with its delay in seconds after the first.

    Args:
        entries: In the order of their times.
        speed: 2 is twice as fast: it halves the delays.
    """
    began: float | None = None
    for entry in entries:
        began = entry.time if began is None else began
        for request in entry.requests():
            yield max(0.0, entry.time - began) / speed, request
