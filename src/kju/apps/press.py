"""Pressing keys and typing text."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..client.keyboard import Keyboard
from ..client.machine import Machine, attach
from ..errors import UsageError
from .targets import check_console


def key(name: str, chords: Sequence[str], console: int) -> None:
    """Press chords one after another."""
    with attach(name) as machine:
        _keyboard(machine, console).chord(*chords)


def type_text(name: str, text: str, layout: str, console: int) -> None:
    """Type a text on a layout; ``-`` is what is on standard input.

    Raises:
        UsageError: What is there is no text, or there is no such layout or it cannot type it.
    """
    with attach(name) as machine:
        keyboard = _keyboard(machine, console)
        try:
            keyboard.type(sys.stdin.read() if text == "-" else text, layout=layout)
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input is no text: {error}") from error


def _keyboard(machine: Machine, console: int) -> Keyboard:
    check_console(machine, console)
    return machine.keyboard_of(console)
