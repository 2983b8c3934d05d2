"""`kju key` and `kju type`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .. import keys
from ..client.input_devices import Keyboard
from ..client.launching import attach
from ..client.machine import Machine
from ..client.targets import check_console
from ..errors import UsageError
from .parameters import Console, Name


def _list_keys(wanted: bool) -> None:
    if wanted:
        list_keys()
        raise typer.Exit


def key(
    name: Name,
    chords: Annotated[
        list[str], typer.Argument(metavar="CHORD", help="Such as ctrl-alt-f2, ret or a.")
    ],
    console: Console = 0,
    listed: Annotated[
        bool,
        typer.Option(
            "--list",
            help="List the names of all keys and exit.",
            is_eager=True,
            callback=_list_keys,
        ),
    ] = False,
) -> None:
    """Press keys, one chord after another.

    Keys have QEMU's names, Linux's (KEY_ENTER), X11's (Control_L), browsers' (ArrowUp) and common
    short ones.
    """
    # A wrong name is reported even if the machine does not exist.
    parsed = [keys.parse_chord(chord) for chord in chords]
    with attach(name) as machine:
        keyboard_of(machine, console).chord(*parsed)


def list_keys() -> None:
    """Print QEMU's name of every key and its other names, then the characters that have names."""
    width = max(map(len, keys.NAMES.values()))
    for number, name in keys.NAMES.items():
        print(f"{name:{width}}  {', '.join(keys.other_names(number))}".rstrip())
    for character in dict.fromkeys(keys.CHARACTERS.values()):
        names = [name for name, meant in keys.CHARACTERS.items() if meant == character]
        print(f"{character:{width}}  {', '.join(names)}")


def type_(
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text (-: standard input).")],
    layout: Annotated[
        str, typer.Option("--layout", metavar="LAYOUT", help="The guest's keyboard layout.")
    ] = "us",
    boot_command: Annotated[
        bool,
        typer.Option("--boot-command", help="Read TEXT as Packer does: <wait5><esc>auto<enter>."),
    ] = False,
    console: Console = 0,
) -> None:
    """Type text."""
    with attach(name) as machine:
        keyboard = keyboard_of(machine, console)
        try:
            words = sys.stdin.read() if text == "-" else text
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input is not text: {error}") from error
        (keyboard.boot_command if boot_command else keyboard.type)(words, layout=layout)


def keyboard_of(machine: Machine, console: int) -> Keyboard:
    """Return the keyboard of a console.

    Raises:
        UsageError: The machine has no such console.
    """
    if not machine.screens and not console:  # a machine without a screen may have a keyboard
        return machine.keyboard
    check_console(machine, console)
    return machine.screens[console].keyboard
