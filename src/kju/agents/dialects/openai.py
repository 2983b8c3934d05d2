"""OpenAI's computer use: the actions of ``computer_call`` items in the Responses API.

Source:
    OpenAI's guide "Computer use", and ``ComputerAction`` of openai-python in 2026
    (``computer_action.py``): the fields of the tools ``computer`` and ``computer_use_preview``.

- ``scroll_x`` and ``scroll_y`` are pixels; a notch of the wheel is 100 of them.
- ``keys`` of ``keypress`` are pressed together; ``keys`` of a pointer action are held meanwhile.
- ``wait`` has no duration: it takes two seconds, as in OpenAI's samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...acting.inputs import MAX_POINTS, Chord, Click, Drag, Move, Pause, Type, Wheel
from ...keys import parse_chord
from .arguments import Arguments, Handler, Options, Plan, planned

#: Pixels of one notch of the wheel.
_PIXELS_PER_NOTCH = 100
#: Seconds of ``wait``.
_WAIT_SECONDS = 2.0
#: The most pixels of one scroll.
_MAX_PIXELS = _PIXELS_PER_NOTCH * 100
#: kju's names of the buttons.
_BUTTONS = {
    "left": "left",
    "right": "right",
    "wheel": "middle",
    "back": "side",
    "forward": "extra",
}


def _click(arguments: Arguments, options: Options) -> Plan:
    button = _BUTTONS[arguments.choice("button", _BUTTONS, "left")]
    return Plan((Click(*arguments.xy(), button, 1, _held(arguments)),))


def _double_click(arguments: Arguments, options: Options) -> Plan:
    button = _BUTTONS[arguments.choice("button", _BUTTONS, "left")]
    return Plan((Click(*arguments.xy(), button, 2, _held(arguments)),))


def _drag(arguments: Arguments, options: Options) -> Plan:
    path = arguments.points("path", 2, MAX_POINTS)
    return Plan((Drag(tuple(path), "left", _held(arguments)),))


def _keypress(arguments: Arguments, options: Options) -> Plan:
    return Plan((Chord(_together(arguments.texts("keys"))),))


def _move(arguments: Arguments, options: Options) -> Plan:
    return Plan((Move(*arguments.xy(), _held(arguments)),))


def _screenshot(arguments: Arguments, options: Options) -> Plan:
    return Plan(wants_picture=True)


def _scroll(arguments: Arguments, options: Options) -> Plan:
    x, y = arguments.xy()
    right = notches_of(arguments.number("scroll_x", -_MAX_PIXELS, _MAX_PIXELS, 0))
    down = notches_of(arguments.number("scroll_y", -_MAX_PIXELS, _MAX_PIXELS, 0))
    return Plan((Wheel(down, right, x, y, _held(arguments)),))


def _type(arguments: Arguments, options: Options) -> Plan:
    return Plan((Type(arguments.text(), options.layout),))


def _wait(arguments: Arguments, options: Options) -> Plan:
    return Plan((Pause(_WAIT_SECONDS),))


def notches_of(pixels: float) -> int:
    """Return the notches of the wheel for a distance: at least one for any distance but 0."""
    notches = max(round(abs(pixels) / _PIXELS_PER_NOTCH), 1) if pixels else 0
    return notches if pixels > 0 else -notches


def _together(names: list[str]) -> tuple[int, ...]:
    """Return the numbers of keys that are pressed together, in this order.

    A name may be a chord itself: ``CTRL+C``.
    """
    keys = [key for name in names for key in parse_chord(name)]
    return tuple(dict.fromkeys(keys))


def _held(arguments: Arguments) -> tuple[int, ...]:
    """Return the keys that are held meanwhile."""
    return _together(arguments.texts("keys")) if arguments.has("keys") else ()


ACTIONS: dict[str, Handler] = {
    "click": _click,
    "double_click": _double_click,
    "drag": _drag,
    "keypress": _keypress,
    "move": _move,
    "screenshot": _screenshot,
    "scroll": _scroll,
    "type": _type,
    "wait": _wait,
}


def plan(action: Mapping[str, Any], options: Options) -> Plan:
    """Return the plan of an action; raises as `planned`."""
    values = {key: value for key, value in action.items() if key != "type"}
    return planned(ACTIONS, action.get("type"), values, options)


def tool(width: int, height: int) -> dict[str, Any]:
    """Return the definition of the tool for a request; the pictures have their size."""
    return {"type": "computer"}
