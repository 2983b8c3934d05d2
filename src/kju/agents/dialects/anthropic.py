"""Anthropic's computer use tool: ``computer_20250124`` and ``computer_20251124``.

Source:
    Anthropic's page "Computer use tool" (beta headers ``computer-use-2025-01-24`` and
    ``computer-use-2025-11-24``), and the reference implementation in ``claude-quickstarts``.

- ``key`` and ``hold_key`` have xdotool's syntax of keys.
- Clicks and the wheel take ``text``, the keys that are held meanwhile; the reference implementation
  calls it ``key`` for clicks.
- ``scroll_amount`` counts notches of the wheel.
- ``zoom`` shows a part of the screen; points remain those of the last whole picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...acting.inputs import (
    AnyInput,
    ButtonDown,
    ButtonUp,
    Chord,
    Click,
    Drag,
    Move,
    Pause,
    Type,
    Wheel,
)
from .arguments import Arguments, Handler, Options, Plan, planned
from .keysyms import chord_of, chords_of

#: The most notches of one action.
_MAX_NOTCHES = 100
#: Right and down for one notch in each direction.
_DIRECTIONS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}


def _key(arguments: Arguments, options: Options) -> Plan:
    chords = chords_of(arguments.text(), arguments.name)
    times = int(arguments.number("repeat", 1, 100, 1))
    return Plan(tuple(Chord(keys) for _ in range(times) for keys in chords))


def _hold_key(arguments: Arguments, options: Options) -> Plan:
    keys = chord_of(arguments.text().strip(), arguments.name)
    return Plan((Chord(keys, arguments.seconds("duration")),))


def _type(arguments: Arguments, options: Options) -> Plan:
    return Plan((Type(arguments.text(), options.layout),))


def _position(arguments: Arguments, options: Options) -> Plan:
    return Plan(wants_position=True)


def _screenshot(arguments: Arguments, options: Options) -> Plan:
    return Plan(wants_picture=True)


def _zoom(arguments: Arguments, options: Options) -> Plan:
    return Plan(zoom=arguments.region("region"))


def _move(arguments: Arguments, options: Options) -> Plan:
    return Plan((Move(*arguments.point("coordinate")),))


def _button(kind: type[ButtonDown] | type[ButtonUp]) -> Handler:
    def handle(arguments: Arguments, options: Options) -> Plan:
        point = arguments.optional_point("coordinate")
        moved: tuple[AnyInput, ...] = () if point is None else (Move(*point),)
        return Plan((*moved, kind("left")))

    return handle


def _click(button: str, count: int = 1) -> Handler:
    def handle(arguments: Arguments, options: Options) -> Plan:
        x, y = arguments.optional_point("coordinate") or (None, None)
        return Plan((Click(x, y, button, count, _held(arguments)),))

    return handle


def _drag(arguments: Arguments, options: Options) -> Plan:
    end = arguments.point("coordinate")
    start = arguments.optional_point("start_coordinate")
    if start is None:
        return Plan((ButtonDown("left"), Move(*end), ButtonUp("left")))
    return Plan((Drag((start, end), "left", _held(arguments)),))


def _scroll(arguments: Arguments, options: Options) -> Plan:
    vertical, horizontal = _DIRECTIONS[arguments.choice("scroll_direction", _DIRECTIONS)]
    notches = round(arguments.number("scroll_amount", 0, _MAX_NOTCHES))
    x, y = arguments.optional_point("coordinate") or (None, None)
    held = _held(arguments)
    return Plan((Wheel(vertical * notches, horizontal * notches, x, y, held),))


def _wait(arguments: Arguments, options: Options) -> Plan:
    return Plan((Pause(arguments.seconds("duration")),))


def _held(arguments: Arguments) -> tuple[int, ...]:
    """Return the keys that are held meanwhile."""
    text = arguments.optional_text("text") or arguments.optional_text("key")
    return () if text is None else chord_of(text.strip(), arguments.name)


#: The actions of ``computer_20250124``.
ACTIONS_20250124: dict[str, Handler] = {
    "key": _key,
    "hold_key": _hold_key,
    "type": _type,
    "cursor_position": _position,
    "mouse_move": _move,
    "left_mouse_down": _button(ButtonDown),
    "left_mouse_up": _button(ButtonUp),
    "left_click": _click("left"),
    "left_click_drag": _drag,
    "right_click": _click("right"),
    "middle_click": _click("middle"),
    "double_click": _click("left", 2),
    "triple_click": _click("left", 3),
    "scroll": _scroll,
    "wait": _wait,
    "screenshot": _screenshot,
}
#: The actions of ``computer_20251124``.
ACTIONS_20251124: dict[str, Handler] = {**ACTIONS_20250124, "zoom": _zoom}


def plan_20250124(action: Mapping[str, Any], options: Options) -> Plan:
    """Return the plan of an action of ``computer_20250124``; raises as `planned`."""
    return _plan(ACTIONS_20250124, action, options)


def plan_20251124(action: Mapping[str, Any], options: Options) -> Plan:
    """Return the plan of an action of ``computer_20251124``; raises as `planned`."""
    return _plan(ACTIONS_20251124, action, options)


def _plan(table: dict[str, Handler], action: Mapping[str, Any], options: Options) -> Plan:
    values = {key: value for key, value in action.items() if key != "action"}
    return planned(table, action.get("action"), values, options)


def tool_20250124(width: int, height: int) -> dict[str, Any]:
    """Return the definition of the tool for a request."""
    return {
        "type": "computer_20250124",
        "name": "computer",
        "display_width_px": width,
        "display_height_px": height,
    }


def tool_20251124(width: int, height: int) -> dict[str, Any]:
    """Return the definition of the tool for a request, with zoom."""
    return {**tool_20250124(width, height), "type": "computer_20251124", "enable_zoom": True}
