"""Every action of every dialect, and what each refuses."""

from __future__ import annotations

import math

import pytest

from kju import keys
from kju.acting import (
    ButtonDown,
    ButtonUp,
    Chord,
    Click,
    Drag,
    KeyDown,
    KeyUp,
    Move,
    Pause,
    Type,
    Wheel,
)
from kju.agents.dialects import DIALECTS, Options, Plan, dialect_of
from kju.agents.dialects.anthropic import ACTIONS_20250124, ACTIONS_20251124
from kju.agents.dialects.gym_anything import DEVICES
from kju.agents.dialects.openai import ACTIONS as OPENAI
from kju.agents.dialects.openai import notches_of
from kju.agents.pictures import Size, view_of
from kju.errors import GeometryError, UsageError
from kju.surface import NOTHING_TAKEN
from kju.surface.geometry import Rect

#: A screen of 2000x1000, given out as 1000x500: point (10, 20) means the pixel (21, 41).
OPTIONS = Options(view_of(Size(2000, 1000), NOTHING_TAKEN, most=(1000, 800)))
AT, THERE = [10, 20], (21, 41)
CTRL, SHIFT, ALT = (keys.number(name) for name in ("ctrl", "shift", "alt"))


def key(*names):
    return tuple(keys.number(name) for name in names)


def click(**fields):
    return Plan((Click(*THERE, **fields),))


ANTHROPIC = [
    ({"action": "key", "text": "ctrl+s"}, Plan((Chord(key("ctrl", "s")),))),
    ({"action": "key", "text": "Return"}, Plan((Chord(key("ret")),))),
    (
        {"action": "key", "text": "alt+Tab Page_Up KP_0"},
        Plan((Chord(key("alt", "tab")), Chord(key("pgup")), Chord(key("kp_0")))),
    ),
    ({"action": "key", "text": "Down", "repeat": 3}, Plan((Chord(key("down")),) * 3)),
    ({"action": "key", "text": "A"}, Plan((Chord(key("shift", "a")),))),
    ({"action": "key", "text": "+"}, Plan((Chord(key("shift", "equal")),))),
    ({"action": "key", "text": "0xff1b"}, Plan((Chord(key("esc")),))),
    ({"action": "hold_key", "text": "shift", "duration": 1.5}, Plan((Chord((SHIFT,), 1.5),))),
    ({"action": "type", "text": "ls\n"}, Plan((Type("ls\n"),))),
    ({"action": "cursor_position"}, Plan(wants_position=True)),
    ({"action": "mouse_move", "coordinate": AT}, Plan((Move(*THERE),))),
    ({"action": "left_mouse_down"}, Plan((ButtonDown(),))),
    ({"action": "left_mouse_up"}, Plan((ButtonUp(),))),
    ({"action": "left_mouse_up", "coordinate": AT}, Plan((Move(*THERE), ButtonUp()))),
    ({"action": "left_click", "coordinate": AT}, click()),
    ({"action": "left_click", "coordinate": AT, "text": "ctrl+shift"}, click(keys=(CTRL, SHIFT))),
    ({"action": "left_click", "coordinate": AT, "key": "alt"}, click(keys=(ALT,))),
    ({"action": "left_click"}, Plan((Click(),))),
    ({"action": "right_click", "coordinate": AT}, click(button="right")),
    ({"action": "middle_click", "coordinate": AT}, click(button="middle")),
    ({"action": "double_click", "coordinate": AT}, click(count=2)),
    ({"action": "triple_click", "coordinate": AT}, click(count=3)),
    (
        {"action": "left_click_drag", "start_coordinate": AT, "coordinate": [0, 0]},
        Plan((Drag((THERE, (1, 1))),)),
    ),
    (
        {"action": "left_click_drag", "coordinate": AT},
        Plan((ButtonDown(), Move(*THERE), ButtonUp())),
    ),
    (
        {"action": "scroll", "coordinate": AT, "scroll_direction": "down", "scroll_amount": 5},
        Plan((Wheel(5, 0, *THERE),)),
    ),
    ({"action": "scroll", "scroll_direction": "up", "scroll_amount": 2}, Plan((Wheel(-2),))),
    ({"action": "scroll", "scroll_direction": "left", "scroll_amount": 2}, Plan((Wheel(0, -2),))),
    (
        {"action": "scroll", "scroll_direction": "right", "scroll_amount": 2, "text": "shift"},
        Plan((Wheel(0, 2, keys=(SHIFT,)),)),
    ),
    ({"action": "wait", "duration": 2}, Plan((Pause(2.0),))),
    ({"action": "screenshot"}, Plan(wants_picture=True)),
]
ZOOM = [
    ({"action": "zoom", "region": [10, 20, 30, 50]}, Plan(zoom=Rect(20, 40, 40, 60))),
    ({"action": "zoom", "region": [0, 0, 1000, 500]}, Plan(zoom=Rect(0, 0, 2000, 1000))),
]
OPENAI_ACTIONS = [
    ({"type": "click", "button": "left", "x": 10, "y": 20}, click()),
    ({"type": "click", "button": "wheel", "x": 10, "y": 20}, click(button="middle")),
    ({"type": "click", "button": "back", "x": 10, "y": 20}, click(button="side")),
    ({"type": "click", "button": "forward", "x": 10, "y": 20}, click(button="extra")),
    ({"type": "click", "button": "right", "x": 10, "y": 20, "keys": None}, click(button="right")),
    ({"type": "click", "x": 10, "y": 20, "keys": ["CTRL", "SHIFT"]}, click(keys=(CTRL, SHIFT))),
    ({"type": "double_click", "x": 10, "y": 20}, click(count=2)),
    (
        {"type": "drag", "path": [{"x": 10, "y": 20}, {"x": 0, "y": 0}, {"x": 1, "y": 0}]},
        Plan((Drag((THERE, (1, 1), (3, 1))),)),
    ),
    ({"type": "drag", "path": [AT, [0, 0]]}, Plan((Drag((THERE, (1, 1))),))),
    ({"type": "keypress", "keys": ["CTRL", "L"]}, Plan((Chord(key("ctrl", "l")),))),
    ({"type": "keypress", "keys": ["ARROWLEFT"]}, Plan((Chord(key("left")),))),
    ({"type": "keypress", "keys": ["CTRL+SHIFT", "ESC"]}, Plan((Chord((CTRL, SHIFT, 1)),))),
    ({"type": "move", "x": 10, "y": 20}, Plan((Move(*THERE),))),
    ({"type": "screenshot"}, Plan(wants_picture=True)),
    (
        {"type": "scroll", "x": 10, "y": 20, "scroll_x": 0, "scroll_y": 300},
        Plan((Wheel(3, 0, *THERE),)),
    ),
    (
        {"type": "scroll", "x": 10, "y": 20, "scroll_x": -20, "scroll_y": -250},
        Plan((Wheel(-2, -1, *THERE),)),
    ),
    ({"type": "type", "text": "hello"}, Plan((Type("hello"),))),
    ({"type": "wait"}, Plan((Pause(2.0),))),
]
GYM = [
    ({"mouse": {"left_click": AT}}, click()),
    ({"mouse": {"right_click": AT}}, click(button="right")),
    ({"mouse": {"middle_click": AT}}, click(button="middle")),
    ({"mouse": {"double_click": AT}}, click(count=2)),
    ({"mouse": {"triple_click": AT}}, click(count=3)),
    ({"mouse": {"left_click_drag": [AT, [0, 0]]}}, Plan((Drag((THERE, (1, 1))),))),
    ({"mouse": {"right_click_drag": [AT, [0, 0]]}}, Plan((Drag((THERE, (1, 1)), "right"),))),
    ({"mouse": {"move": AT}}, Plan((Move(*THERE),))),
    (
        {"mouse": {"buttons": {"left_down": True, "right_up": True, "middle_down": False}}},
        Plan((ButtonDown("left"), ButtonUp("right"))),
    ),
    ({"mouse": {"move": AT, "scroll": 3}}, Plan((Move(*THERE), Wheel(3)))),
    ({"keyboard": {"text": "hello"}}, Plan((Type("hello"),))),
    ({"keyboard": {"keys": ["ctrl", "s"]}}, Plan((Chord(key("ctrl", "s")),))),
    ({"keyboard": {"keys": "Return"}}, Plan((Chord(key("ret")),))),
    (
        {"keyboard": {"keys_down": ["shift"], "keys_up": ["ctrl", "alt"]}},
        Plan((KeyDown("shift"), KeyUp("ctrl"), KeyUp("alt"))),
    ),
    (
        {"keyboard": {"text": "a"}, "mouse": {"left_click": AT}},
        Plan((Click(*THERE), Type("a"))),
    ),
    ({}, Plan(wants_picture=True)),
]
EVERY = [
    *(("computer_20250124", *case) for case in ANTHROPIC),
    *(("computer_20251124", *case) for case in [*ANTHROPIC, *ZOOM]),
    *(("openai", *case) for case in OPENAI_ACTIONS),
    *(("gym-anything", *case) for case in GYM),
]


@pytest.mark.parametrize(("name", "action", "plan"), EVERY)
def test_an_action_becomes_inputs(name, action, plan):
    assert dialect_of(name).plan(action, OPTIONS) == plan


def test_every_action_of_the_tables_is_tested():
    assert {action["action"] for action, _ in ANTHROPIC} == set(ACTIONS_20250124)
    assert set(ACTIONS_20251124) - set(ACTIONS_20250124) == {"zoom"}
    assert {action["type"] for action, _ in OPENAI_ACTIONS} == set(OPENAI)
    tested = {
        (device, name) for action, _ in GYM for device, values in action.items() for name in values
    }
    assert tested == {(device, name) for device, names in DEVICES.items() for name in names}


@pytest.mark.parametrize(
    ("name", "action", "message"),
    [
        ("computer_20250124", {}, "unknown action None: choose key, hold_key"),
        ("computer_20250124", {"action": ["key"]}, "unknown action"),
        ("computer_20250124", {"action": "zoom", "region": [0, 0, 9, 9]}, "unknown action 'zoom'"),
        ("computer_20251124", {"action": "zoom"}, "needs region"),
        ("computer_20251124", {"action": "zoom", "region": [9, 9, 9, 20]}, "is empty"),
        ("computer_20251124", {"action": "zoom", "region": [0, 0, 1001, 9]}, "1000x500"),
        ("computer_20251124", {"action": "zoom", "region": [0, 0, "9", 9]}, "not '9'"),
        ("computer_20251124", {"action": "mouse_move"}, r"needs coordinate: \[x, y\]"),
        ("computer_20251124", {"action": "left_click", "coordinate": "1,2"}, r"\[x, y\]"),
        ("computer_20251124", {"action": "left_click", "coordinate": [1, 2, 3]}, r"\[x, y\]"),
        ("computer_20251124", {"action": "left_click", "coordinate": [True, 2]}, "two numbers"),
        ("computer_20251124", {"action": "left_click", "coordinate": [math.nan, 2]}, "not nan, 2"),
        ("computer_20251124", {"action": "left_click", "coordinate": [-1, 2]}, "outside"),
        ("computer_20251124", {"action": "left_click", "coordinate": [1000, 2]}, "1000x500"),
        ("computer_20251124", {"action": "left_click", "position": [1, 2]}, "it takes coordinate"),
        ("computer_20251124", {"action": "key", "text": "Foo"}, "no key is named 'Foo'"),
        ("computer_20251124", {"action": "key", "text": "ctrl++"}, "write plus"),
        ("computer_20251124", {"action": "key", "text": "0xzz"}, "no key is named"),
        ("computer_20251124", {"action": "key", "text": "  "}, "1 to 100 keys"),
        ("computer_20251124", {"action": "key"}, "key needs text"),
        ("computer_20251124", {"action": "type", "text": "\u20ac"}, "no key for"),
        ("computer_20251124", {"action": "type", "text": "a" * 10_001}, "at most 10000"),
        ("computer_20251124", {"action": "hold_key", "text": "a"}, "duration of hold_key"),
        ("computer_20251124", {"action": "wait", "duration": True}, "not True"),
        ("computer_20251124", {"action": "wait", "duration": 301}, "from 0 to 300"),
        (
            "computer_20251124",
            {"action": "scroll", "scroll_direction": "in", "scroll_amount": 1},
            "one of up, down, left, right",
        ),
        (
            "computer_20251124",
            {"action": "scroll", "scroll_direction": "up", "scroll_amount": 101},
            "from 0 to 100",
        ),
        ("openai", {"type": "click", "x": 1}, "needs x and y"),
        ("openai", {"type": "click", "x": 1, "y": 500}, "y is 0 to 499"),
        ("openai", {"type": "click", "x": 1, "y": 5, "button": "top"}, "one of left, right, wheel"),
        ("openai", {"type": "drag", "path": [AT]}, "2 to 1000 points, not 1"),
        ("openai", {"type": "drag", "path": [AT, {"x": 1}]}, r"\[x, y\]"),
        ("openai", {"type": "keypress", "keys": []}, "a list of names"),
        ("openai", {"type": "keypress", "keys": ["FOO"]}, "no key is named"),
        ("openai", {"type": "scroll", "x": 1, "y": 1, "scroll_y": 1e9}, "from -10000 to 10000"),
        ("gym-anything", {"voice": {}}, "mouse and keyboard, each a map, not 'voice'"),
        ("gym-anything", {"mouse": {"fly": AT}}, "has no argument 'fly'"),
        ("gym-anything", {"mouse": {"buttons": {"top": True}}}, "buttons are left_down"),
        ("gym-anything", {"mouse": {"buttons": [1]}}, "is a map"),
        ("gym-anything", {"mouse": {"scroll": math.inf}}, "from -100 to 100"),
        ("gym-anything", {"keyboard": {"keys_down": ["foo"]}}, "no key is named"),
    ],
)
def test_an_invalid_action_is_refused_with_what_is_valid(name, action, message):
    with pytest.raises(UsageError, match=message):
        dialect_of(name).plan(action, OPTIONS)


def test_normalised_points_are_of_any_picture():
    options = Options(view_of(Size(2000, 1000), NOTHING_TAKEN, normalised=True))
    plan = dialect_of("openai").plan
    for point, pixel in (((0, 0), (0, 0)), ((500, 500), (1000, 500)), ((1000, 1000), (1999, 999))):
        action = {"type": "move", "x": point[0], "y": point[1]}
        assert plan(action, options) == Plan((Move(*pixel),))
    with pytest.raises(GeometryError, match="x and y are 0 to 1000"):
        plan({"type": "move", "x": 1001, "y": 0}, options)


def test_the_layout_is_that_of_the_guest():
    options = Options(OPTIONS.view, "de")
    assert dialect_of("openai").plan({"type": "type", "text": "\u00e4"}, options) == Plan(
        (Type("\u00e4", "de"),)
    )


@pytest.mark.parametrize(
    ("pixels", "notches"), [(0, 0), (1, 1), (-1, -1), (149, 1), (151, 2), (-300, -3)]
)
def test_pixels_of_the_wheel_are_notches(pixels, notches):
    assert notches_of(pixels) == notches


def test_tools_have_the_size_of_the_pictures():
    definitions = {name: dialect.tool(1000, 500) for name, dialect in DIALECTS.items()}
    assert definitions["computer_20251124"] == {
        "type": "computer_20251124",
        "name": "computer",
        "display_width_px": 1000,
        "display_height_px": 500,
        "enable_zoom": True,
    }
    assert "enable_zoom" not in definitions["computer_20250124"]
    assert definitions["openai"] == {"type": "computer"}
    assert definitions["gym-anything"]["observation"][0]["resolution"] == [1000, 500]
    with pytest.raises(UsageError, match="choose computer_20250124, computer_20251124, openai"):
        dialect_of("other")
