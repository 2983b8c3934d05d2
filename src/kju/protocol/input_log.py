"""A machine's input as it was sent, with times: what a log of it holds. I/O-free.

A log is lines of JSON, each of them one `Input`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from ..errors import FormatError
from .messages import Action, Console, Keys, KeySteps, Point

#: Lines of a log that is read: more than a machine keeps of its own.
LONGEST = 1 << 20


class Input(Struct, frozen=True, omit_defaults=True):
    """What was sent at one time: keys or pointer.

    Attributes:
        time: Seconds since the machine was started; after a snapshot was loaded, since the last
            input before it was saved and that one's time.
        console: The console it was for.
        keys: Keyboard steps, which were sent together.
        pointer: What was done with the pointer.
    """

    time: float
    console: Console = 0
    keys: KeySteps = []
    pointer: list[Action] = []

    def requests(self) -> Iterator[Keys | Point]:
        """What sends it again."""
        if self.keys:
            yield Keys(console=self.console, steps=self.keys)
        if self.pointer:
            yield Point(console=self.console, actions=self.pointer)


def encode(entry: Input) -> bytes:
    """One line, with its end."""
    return msgspec.json.encode(entry) + b"\n"


def decode(text: bytes) -> list[Input]:
    """A whole log.

    Raises:
        FormatError: A line is none; the message says which one, and why.
    """
    lines = text.splitlines()
    if len(lines) > LONGEST:
        raise FormatError(f"a log of input has at most {LONGEST} lines, not {len(lines)}")
    return [_decode_line(number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _decode_line(number: int, line: bytes) -> Input:
    try:
        return msgspec.json.decode(line, type=Input)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"line {number} is no input: {error}", line[:80]) from error


def schedule(entries: Iterable[Input], speed: float) -> Iterator[tuple[float, Keys | Point]]:
    """What to send, and how many seconds after the first of it.

    Args:
        entries: In the order of their times.
        speed: 2 is twice as fast; the times between are halved.
    """
    began: float | None = None
    for entry in entries:
        began = entry.time if began is None else began
        for request in entry.requests():
            yield max(0.0, entry.time - began) / speed, request
