"""Two channels beside the screen: `kju serial` and `kju qmp`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from ..client.launching import attach
from ..errors import UsageError
from .command import AnyName, Name, Seconds

#: Ctrl+], as in telnet and virsh: programs in guests hardly use it.
_ESCAPE = b"\x1d"
_CHUNK = 4096
#: Seconds of one poll, which takes no infinity and at most 2**31 milliseconds; it is repeated.
_FOREVER = 3600.0


def serial(name: AnyName = "", seconds: Seconds = 0) -> None:
    """Connect this terminal to a machine's serial port.

    Ctrl+] disconnects; the machine continues. In a pipe, standard input goes to the guest. The
    guest's output reaches this terminal unchanged, escape sequences included.
    """
    with attach(name) as machine, machine.serial() as line:
        is_terminal = sys.stdin.isatty()
        if is_terminal:
            print(f"the serial port of {name}; Ctrl+] disconnects", file=sys.stderr)
        end = time.monotonic() + seconds if seconds else float("inf")
        with _raw() if is_terminal else contextlib.nullcontext():
            _carry(line, end, is_terminal)
        if is_terminal:
            print(file=sys.stderr)


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Set the terminal to raw mode: every key goes to the guest, Ctrl+C too."""
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setraw(number, termios.TCSADRAIN)
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _carry(line: socket.socket, end: float, is_terminal: bool) -> None:
    """Carry bytes both ways until the escape key, the end of the line, or *end*.

    A pipe is read no faster than the guest reads.
    """
    keys, shown = sys.stdin.fileno(), sys.stdout.fileno()
    waiting = b""
    typing = True
    while (left := min(end - time.monotonic(), _FOREVER)) > 0:
        poll = select.poll()
        poll.register(line, select.POLLIN | (select.POLLOUT if waiting else 0))
        if typing and not waiting:
            poll.register(keys, select.POLLIN)
        ready = dict(poll.poll(left * 1000))
        if ready.get(line.fileno(), 0) & (select.POLLIN | select.POLLHUP | select.POLLERR):
            data = line.recv(_CHUNK)
            if not data:
                return
            _write(shown, data)
        if waiting and ready.get(line.fileno(), 0) & select.POLLOUT:
            waiting = waiting[line.send(waiting, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT) :]
        if keys in ready:
            waiting = os.read(keys, _CHUNK)
            if is_terminal and _ESCAPE in waiting:
                return
            if not waiting:
                # The guest may still answer.
                typing = False


def _write(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def qmp(
    name: Name,
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="Such as query-status.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENT", help="A JSON object, or KEY=VALUE words."),
    ] = None,
) -> None:
    """Run a QMP command, and print its result as JSON.

    KEY=VALUE: VALUE is read as JSON if it is valid JSON, otherwise as a string.
    """
    values = parse_arguments(arguments or [])
    with attach(name) as machine:
        print(json.dumps(machine.qmp(command, **values), indent=2))


def parse_arguments(words: list[str]) -> dict[str, Any]:
    """Return arguments from one JSON object, or from KEY=VALUE words.

    Raises:
        UsageError: The words are neither.
    """
    if len(words) == 1 and words[0].lstrip().startswith("{"):
        try:
            found = json.loads(words[0])
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{words[0]!r} is not JSON: {error}") from error
        return dict(found)
    arguments = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise UsageError(f"{word!r} is not KEY=VALUE; or give all arguments as one JSON object")
        try:
            arguments[key] = json.loads(value)
        except (ValueError, RecursionError):
            arguments[key] = value
    return arguments
