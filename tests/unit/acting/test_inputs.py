"""Inputs are checked when they are made, and their points before any is sent."""

from __future__ import annotations

import math

import pytest

from kju.acting import (
    ButtonDown,
    Chord,
    Click,
    Drag,
    KeyDown,
    KeyUp,
    Move,
    MoveBy,
    Pause,
    Touch,
    Type,
    Wheel,
)
from kju.acting.inputs import as_inputs, check_points, words_of
from kju.errors import GeometryError, UsageError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chord("ctrl-foo"), "no key is named 'foo'"),
        (lambda: Chord((1, 300)), "number from 1 to 255"),
        (lambda: Chord("a", -1), "0 to 300 seconds, not -1"),
        (lambda: Chord("a", math.nan), "0 to 300 seconds, not nan"),
        (lambda: Chord("a", True), "0 to 300 seconds, not True"),
        (lambda: Chord("a", 301), "0 to 300 seconds, not 301"),
        (lambda: Type("\u20ac5"), "no key for '\u20ac'"),
        (lambda: Type("a", layout="xx"), "xx"),
        (lambda: Type(5), "a string, not 5"),
        (lambda: KeyDown("foo"), "no key is named"),
        (lambda: KeyUp(True), "a name or a number"),
        (lambda: Click(5), "both x and y"),
        (lambda: Click(1.5, 2), "two whole numbers of pixels, not 1.5, 2"),
        (lambda: Click(math.nan, 2), "two whole numbers of pixels, not nan, 2"),
        (lambda: Click(True, False), "two whole numbers of pixels, not True, False"),
        (lambda: Click(-1, 2), "is on no screen: x and y are 0 to 16383"),
        (lambda: Click(1, 2, count=4), "1, 2 or 3 clicks, not 4"),
        (lambda: Click(1, 2, button="top"), "choose left, middle"),
        (lambda: Move("1", 2), "whole numbers"),
        (lambda: MoveBy(1.5, 0), "whole numbers"),
        (lambda: MoveBy(40000, 0), "at most 32767"),
        (lambda: Drag([(1, 2)]), "2 to 1000 points"),
        (lambda: Drag([(1, 2)] * 1001), "2 to 1000 points"),
        (lambda: Drag([(1, 2), 3]), "x and y, not 3"),
        (lambda: Wheel(101), "at most 100 at once"),
        (lambda: Wheel(1, x=4), "both x and y"),
        (lambda: ButtonDown("top"), "choose left"),
        (lambda: Touch([]), "1 to 1000 points"),
        (lambda: Touch([(1, 2)], finger=10), "0 to 9"),
        (lambda: Pause(math.inf), "0 to 300 seconds, not inf"),
    ],
)
def test_an_invalid_input_is_refused_when_it_is_made(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_lists_of_inputs_are_joined():
    one, two, three = Chord("a"), Pause(0), Click(1, 2)
    assert as_inputs([one, [two, three]]) == [one, two, three]
    assert words_of([one, two, three, one]) == (
        "the keys a, a pause of 0 s, a click at 1, 2 and 1 more"
    )
    with pytest.raises(UsageError, match="an input is missing: give one"):
        as_inputs([[]])
    with pytest.raises(UsageError, match="'ls' is not an input: use"):
        as_inputs(["ls"])


def test_a_point_outside_the_screen_names_its_size():
    inside = [Click(639, 399), Move(0, 0), Wheel(1, x=1, y=1), Click(), Drag([(0, 0), (639, 0)])]
    check_points([*inside, Chord("a"), Touch([(1, 1)])], 640, 400)
    for outside in (Click(640, 0), Move(0, 400), Wheel(1, x=640, y=0), Drag([(0, 0), (0, 400)])):
        with pytest.raises(GeometryError, match="outside of the 640x400 screen: x is 0 to 639"):
            check_points([*inside, outside], 640, 400)


def test_words_name_button_and_held_keys():
    assert Click(1, 2, "right", 2, ("ctrl",)).words == (
        "a double click of the right button at 1, 2 with ctrl"
    )
    assert Type("x" * 50).words == f"the text '{'x' * 40}...'"
    assert Drag([(1, 2), (3, 4), (5, 6)]).words == "a drag from 1, 2 to 5, 6"
