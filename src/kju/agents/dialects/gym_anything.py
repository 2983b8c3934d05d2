"""gym-anything's actions: ``{"mouse": {...}}`` and ``{"keyboard": {...}}``, or both.

Source:
    The runners of cmu-l3/gym-anything, 2026 (``events_for_action`` in ``modal_native_fast_io.py``).

Within one action the order is theirs: clicks, drags, ``move``, ``buttons`` and ``scroll`` of the
mouse, then ``text``, ``keys``, ``keys_down`` and ``keys_up`` of the keyboard. ``scroll`` counts
notches, and is positive downwards. An empty action is a look at the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ...acting.inputs import (
    AnyInput,
    ButtonDown,
    ButtonUp,
    Chord,
    Click,
    Drag,
    KeyDown,
    KeyUp,
    Move,
    Type,
    Wheel,
)
from ...keys import parse_chord
from .arguments import ActionError, Arguments, Options, Plan

_MAX_NOTCHES = 100
#: The buttons of ``buttons``, in their order.
_BUTTONS = [
    (f"{button}_{state}", kind(button))
    for button in ("left", "middle", "right")
    for state, kind in (("down", ButtonDown), ("up", ButtonUp))
]

#: Turns one argument of a device into inputs.
_Maker: TypeAlias = Callable[[Arguments, str, Options], list[AnyInput]]


def _click(button: str, count: int = 1) -> _Maker:
    def make(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
        return [Click(*arguments.point(key), button, count)]

    return make


def _drag(button: str) -> _Maker:
    def make(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
        return [Drag(tuple(arguments.points(key, 2, 2)), button)]

    return make


def _move(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    return [Move(*arguments.point(key))]


def _buttons(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    wanted = arguments.mapping(key)
    known = [name for name, _ in _BUTTONS]
    for name, value in wanted.items():
        if name not in known or not isinstance(value, bool):
            raise ActionError(f"buttons are {', '.join(known)}, true or false, not {name!r:.40}")
    return [made for name, made in _BUTTONS if wanted.get(name)]


def _scroll(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    return [Wheel(round(arguments.number(key, -_MAX_NOTCHES, _MAX_NOTCHES)))]


def _text(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    return [Type(arguments.text(key), options.layout)]


def _keys(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    numbers = [number for name in arguments.texts(key) for number in parse_chord(name)]
    return [Chord(tuple(dict.fromkeys(numbers)))]


def _keys_down(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    return [KeyDown(name) for name in arguments.texts(key)]


def _keys_up(arguments: Arguments, key: str, options: Options) -> list[AnyInput]:
    return [KeyUp(name) for name in arguments.texts(key)]


#: The arguments of each device, in the order in which they are carried out.
DEVICES: dict[str, dict[str, _Maker]] = {
    "mouse": {
        "left_click": _click("left"),
        "right_click": _click("right"),
        "middle_click": _click("middle"),
        "double_click": _click("left", 2),
        "triple_click": _click("left", 3),
        "left_click_drag": _drag("left"),
        "right_click_drag": _drag("right"),
        "move": _move,
        "buttons": _buttons,
        "scroll": _scroll,
    },
    "keyboard": {"text": _text, "keys": _keys, "keys_down": _keys_down, "keys_up": _keys_up},
}


def plan(action: Mapping[str, Any], options: Options) -> Plan:
    """Return the plan of an action.

    Raises:
        ActionError: A device or an argument is unknown or not valid.
        UsageError: A key is unknown, or the layout lacks a character.
        GeometryError: A point is not inside the picture.
    """
    for name, values in action.items():
        if name not in DEVICES or not isinstance(values, Mapping):
            raise ActionError(
                f"an action is a map with {' and '.join(DEVICES)}, each a map, not {name!r:.40}"
            )
    inputs: list[AnyInput] = []
    for device, makers in DEVICES.items():
        arguments = Arguments(device, action.get(device, {}), options.view)
        for key, make in makers.items():
            if arguments.has(key):
                inputs += make(arguments, key, options)
        arguments.finish()
    return Plan(tuple(inputs), wants_picture=not inputs)


def tool(width: int, height: int) -> dict[str, Any]:
    """Return the entries of an environment's description that name this size and these actions."""
    screen = {"type": "rgb_screen", "resolution": [width, height]}
    return {"observation": [screen], "action": [{"type": "mouse"}, {"type": "keyboard"}]}
