"""Pressing keys and typing text."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..client.machine import Keyboard, Machine, attach
from .targets import check_console


def key(name: str, chords: Sequence[str], console: int) -> None:
    """Press chords one after another."""
    with attach(name) as machine:
        _keyboard(machine, console).chord(*chords)


def type_text(name: str, text: str, console: int) -> None:
    """Type a text; ``-`` is what is on standard input."""
    with attach(name) as machine:
        _keyboard(machine, console).type(sys.stdin.read() if text == "-" else text)


def _keyboard(machine: Machine, console: int) -> Keyboard:
    check_console(machine, console)
    return machine.keyboard_of(console)
