"""`kju pointer`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from ..client.launching import attach
from ..client.targets import check_console
from ..errors import UsageError
from ..protocol.messages import BUTTONS
from .parameters import Console, Name, completing

_ACTIONS = ("move", "click", "drag", "wheel", "press", "release")


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
            metavar="VALUE", help="Pixels X Y (drag: several pairs), notches, or a button's name."
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
        raise UsageError(f"pixels are X and Y; {' '.join(words)!r} has one number too many")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _whole(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(f"{word!r} is not a whole number") from None
