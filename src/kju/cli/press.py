"""Pressing keys and typing text."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..bounded import read_file
from ..client.keyboard import Keyboard
from ..client.machine import Machine, attach
from ..client.targets import check_console
from ..errors import UsageError
from ..files import write_output
from ..protocol.input_log import decode, encode

#: Bytes of a recorded log of input.
MAX_LOG = 64 << 20


def key(name: str, chords: Sequence[str], console: int) -> None:
    """Press chords one after another.

    Raises:
        UsageError: A chord names no key, whether there is such a machine or not.
    """
    from ..keys import parse_chord

    parsed = [parse_chord(chord) for chord in chords]
    with attach(name) as machine:
        _keyboard(machine, console).chord(*parsed)


def list_keys() -> None:
    """Print QEMU's name of every key and its other names, then the characters that have names."""
    from ..keys import CHARACTERS, NAMES, other_names

    width = max(map(len, NAMES.values()))
    for number, name in NAMES.items():
        print(f"{name:{width}}  {', '.join(other_names(number))}".rstrip())
    for character in dict.fromkeys(CHARACTERS.values()):
        names = [name for name, meant in CHARACTERS.items() if meant == character]
        print(f"{character:{width}}  {', '.join(names)}")


def type_text(name: str, text: str, layout: str, console: int, boot_command: bool) -> None:
    """Type a text on a layout; ``-`` is what is on standard input.

    Args:
        name: The machine's.
        text: What to type.
        layout: The one that the guest is set to.
        console: Whose keyboard.
        boot_command: The text is one of Packer's boot commands.

    Raises:
        UsageError: What is there is no text, or there is no such layout or it cannot type it.
    """
    with attach(name) as machine:
        keyboard = _keyboard(machine, console)
        try:
            words = sys.stdin.read() if text == "-" else text
            (keyboard.boot_command if boot_command else keyboard.type)(words, layout=layout)
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input is no text: {error}") from error


def use_pointer(
    name: str, action: str, words: Sequence[str], button: str, count: int, console: int
) -> None:
    """Do one thing with the pointer.

    Raises:
        UsageError: There is no such action, or it takes other words.
    """
    with attach(name) as machine:
        check_console(machine, console)
        pointer = machine.screens[console].pointer
        places = _pairs(words) if action in ("move", "click", "drag") else []
        match action, places, list(words):
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
                    f"{' '.join([action, *words])!r} is nothing a pointer does: move X Y,"
                    " click [X Y], drag X Y X Y..., wheel DOWN [RIGHT], press [BUTTON],"
                    " release [BUTTON]"
                )


def _pairs(words: Sequence[str]) -> list[tuple[int, int]]:
    numbers = [_whole(number) for word in words for number in word.split(",") if number]
    if len(numbers) % 2:
        raise UsageError(f"pixels are X and Y, and {' '.join(words)!r} has one number too many")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(f"{word!r} is no whole number") from None


def inputs(name: str, output: str) -> None:
    """Write a machine's log of input."""
    with attach(name) as machine:
        text = b"".join(encode(entry) for entry in machine.input_log())
    if output == "-":
        sys.stdout.buffer.write(text)
    else:
        write_output(output, text)


def replay(name: str, path: str, speed: float) -> None:
    """Do again what a log says."""
    entries = decode(sys.stdin.buffer.read() if path == "-" else read_file(path, MAX_LOG))
    with attach(name) as machine:
        machine.replay(entries, speed=speed)


def _keyboard(machine: Machine, console: int) -> Keyboard:
    if not machine.screens and not console:  # a machine without a screen may have a keyboard
        return machine.keyboard
    check_console(machine, console)
    return machine.screens[console].keyboard
