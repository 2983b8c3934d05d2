"""Input: `kju key`, `type`, `pointer`, `inputs` and `replay`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from .. import keys
from ..client.input_devices import Keyboard
from ..client.launching import attach
from ..client.machine import Machine
from ..client.targets import check_console
from ..errors import UsageError
from ..files import read_file, write_output
from ..protocol.input_log import decode, encode
from ..protocol.values import BUTTONS
from .command import AnyName, Console, Name, completing

_ACTIONS = ("move", "click", "drag", "wheel", "press", "release")
#: Bytes of a log of input.
_MAX_LOG = 64 << 20


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
        _keyboard_of(machine, console).chord(*parsed)


def _list_keys(wanted: bool) -> None:
    """Print QEMU's name of every key and its other names, then the characters that have names."""
    if not wanted:
        return
    width = max(map(len, keys.NAMES.values()))
    for number, name in keys.NAMES.items():
        print(f"{name:{width}}  {', '.join(keys.other_names(number))}".rstrip())
    for character in dict.fromkeys(keys.CHARACTERS.values()):
        names = [name for name, meant in keys.CHARACTERS.items() if meant == character]
        print(f"{character:{width}}  {', '.join(names)}")
    raise typer.Exit


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
        keyboard = _keyboard_of(machine, console)
        try:
            words = sys.stdin.read() if text == "-" else text
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input is not text: {error}") from error
        (keyboard.boot_command if boot_command else keyboard.type)(words, layout=layout)


def _keyboard_of(machine: Machine, console: int) -> Keyboard:
    """Return the keyboard of a console.

    Raises:
        UsageError: The machine has no such console.
    """
    if not machine.screens and not console:  # a machine without a screen may have a keyboard
        return machine.keyboard
    check_console(machine, console)
    return machine.screens[console].keyboard


def pointer(
    name: Name,
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION", help=f"{', '.join(_ACTIONS)}.", autocompletion=completing(_ACTIONS)
        ),
    ],
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VALUE",
            help="Pixels X Y (drag: several pairs), notches DOWN [RIGHT] (negative: up, left), or a"
            " button's name.",
        ),
    ] = None,
    button: Annotated[
        str, typer.Option(metavar="BUTTON", help=f"Button: {', '.join(BUTTONS)}.")
    ] = "left",
    count: Annotated[
        int, typer.Option(metavar="N", min=1, max=3, help="Number of clicks (2: double click).")
    ] = 1,
    console: Console = 0,
) -> None:
    """Move, click, drag and scroll with the pointer."""
    given = words or []
    with attach(name) as machine:
        check_console(machine, console)
        pointer = machine.screens[console].pointer
        places = _pairs(given) if action in ("move", "click", "drag") else []
        match action, places, list(given):
            case "move", [place], _:
                pointer.move(*place)
            case "click", [], _:
                pointer.click(button=button, count=count)
            case "click", [place], _:
                pointer.click(*place, button=button, count=count)
            case "drag", [_, _, *_], _:
                pointer.drag(*places, button=button)
            case "wheel", _, [notches]:
                pointer.wheel(_whole(notches))
            case "wheel", _, [down, right]:
                pointer.wheel(_whole(down), _whole(right))
            case ("press" | "release") as verb, _, named:
                (pointer.press if verb == "press" else pointer.release)(*(named or [button]))
            case _:
                raise UsageError(
                    f"unknown pointer action {' '.join([action, *given])!r}; use: move X Y,"
                    " click [X Y], drag X Y X Y..., wheel DOWN [RIGHT], press [BUTTON],"
                    " release [BUTTON]"
                )


def _pairs(words: Sequence[str]) -> list[tuple[int, int]]:
    numbers = [_whole(number) for word in words for number in word.split(",") if number]
    if len(numbers) % 2:
        raise UsageError(f"give pixels as pairs of X and Y; {' '.join(words)!r} has an odd number")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(f"{word!r} is not a whole number") from None


def inputs(
    name: AnyName = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Output file (-: print).")
    ] = "-",
) -> None:
    """Print the input of all clients as JSON lines.

    Each line has its time; `kju replay` repeats them. Typed text may include passwords.
    """
    with attach(name) as machine:
        text = b"".join(encode(entry) for entry in machine.input_log())
    if output == "-":
        sys.stdout.buffer.write(text)
    else:
        write_output(output, text)


def replay(
    name: Name,
    path: Annotated[
        str, typer.Argument(metavar="FILE", help="A log of `kju inputs` (-: standard input).")
    ],
    speed: Annotated[float, typer.Option(metavar="FACTOR", help="Speed (2: twice as fast).")] = 1.0,
) -> None:
    """Repeat the input of a log, with its pauses."""
    entries = decode(sys.stdin.buffer.read() if path == "-" else read_file(path, _MAX_LOG))
    with attach(name) as machine:
        machine.replay(entries, speed=speed)
