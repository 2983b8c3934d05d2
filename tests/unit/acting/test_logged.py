"""Actions of a log of input."""

from __future__ import annotations

import pytest

from kju.acting import Chord, Click, Drag, Move, MoveBy, Touch, Type, Wheel
from kju.acting.logged import NEAR, REST, LogReader, check_keyboard
from kju.errors import UsageError
from kju.keys import held_steps, layout, number, parse_chord, steps
from kju.protocol.input_log import Input
from kju.protocol.values import Button, By, Finger, To, TurnWheel
from kju.surface import MAX_SIDE

CTRL, SHIFT, A = number("ctrl"), number("shift"), number("a")


def read(*entries: Input, **how: str) -> list[object]:
    return [action.input for action in LogReader(**how).read(entries)]


def pointer(*actions: object, time: float = 0.0) -> Input:
    return Input(time, pointer=list(actions))


def test_keys_are_characters_and_chords() -> None:
    typed = [Input(0, keys=group) for group in held_steps(layout("us").strokes("aB"), 8)]
    assert read(*typed) == [Type("a"), Type("B")]
    chord = Input(0, keys=steps([parse_chord("ctrl-alt-f2")]))
    assert read(chord) == [Chord(parse_chord("ctrl-alt-f2"))]
    assert read(Input(0, keys=steps([(SHIFT,)]))) == [Chord((SHIFT,))]
    german = Input(0, keys=steps([(number("y"),)]))
    assert read(german) == [Type("y")]
    assert read(german, keyboard="de") == [Type("z", "de")]


def test_a_press_and_release_at_one_place_is_a_click() -> None:
    press, release = Button(0, True), Button(0, False)
    assert read(pointer(To(5, 6), press, To(6, 7), release)) == [Click(5, 6)]
    assert read(pointer(press, release)) == [Click()]
    held = [Input(0, keys=[(CTRL, True)]), pointer(To(5, 6), press, release)]
    released = Input(0, keys=[(CTRL, False)])
    assert read(*held, released) == [Click(5, 6, keys=("ctrl",))], "the held key is no chord"


def test_a_drag_keeps_the_corners_of_its_path() -> None:
    press, release = Button(2, True), Button(2, False)
    straight = [To(x, 2 * x) for x in range(10, 60, 5)]
    assert read(pointer(To(0, 0), press, *straight, release)) == [
        Drag(((0, 0), (55, 110)), "right")
    ]
    corner = [To(50, 0), To(50, 40)]
    assert read(pointer(To(0, 0), press, *corner, release)) == [
        Drag(((0, 0), (50, 0), (50, 40)), "right")
    ]
    there_and_back = [To(50, 0), To(0, 0)]
    assert read(pointer(To(0, 0), press, *there_and_back, release)) == [
        Drag(((0, 0), (50, 0), (0, 0)), "right")
    ]


def test_fingers_the_wheel_and_distances() -> None:
    tap = pointer(Finger(1, "begin", 5, 6), Finger(1, "move", 6, 6), Finger(1, "end"))
    assert read(tap) == [Touch(((5, 6),), 1)]
    slide = pointer(Finger(0, "begin", 5, 6), Finger(0, "move", 50, 6), Finger(0, "end"))
    assert read(slide) == [Touch(((5, 6), (50, 6)))]
    assert read(pointer(Finger(3, "end"))) == []
    assert read(pointer(TurnWheel(2))) == [Wheel(2)]
    assert read(pointer(To(7, 8), TurnWheel(-1, 3))) == [Wheel(-1, 3, 7, 8)]
    assert read(pointer(By(3, -4))) == [MoveBy(3, -4)]


def test_an_action_knows_when_the_pointer_came_near() -> None:
    reader = LogReader()
    far = pointer(To(200 + NEAR + 1, 200), time=1)
    near = pointer(To(200 + NEAR, 200), time=2)
    click = [pointer(To(200, 200), time=3), pointer(Button(0, True), time=4)]
    assert reader.read([far, near, *click]) == []
    assert reader.pressed == (4, 2)
    (action,) = reader.read([pointer(Button(0, False), time=5)])
    assert (action.began, action.ended, action.approached) == (4, 5, 2)
    assert reader.pressed is None


def test_another_console_and_pixels_at_the_edge() -> None:
    assert read(Input(0, console=1, keys=[(A, True)])) == []
    press = [To(MAX_SIDE, MAX_SIDE), Button(0, True), Button(0, False)]
    assert read(pointer(*press)) == [Click(MAX_SIDE - 1, MAX_SIDE - 1)]


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(UsageError, match="no keyboard layout is named 'xx'"):
        check_keyboard("xx")


def rests(*entries: Input, now: float = 0.0) -> list[tuple[object, float, float]]:
    """Return the rests of the pointer, each with its begin and its approach."""
    reader = LogReader(rests=True)
    found = [*reader.read(entries), *reader.rest(now)]
    return [(a.input, a.began, a.approached) for a in found if isinstance(a.input, Move)]


def test_a_pointer_that_rests_is_a_move_once() -> None:
    path = [pointer(To(9 * at, 5), time=at / 10) for at in range(10)]
    assert rests(*path, now=0.9 + REST) == [(Move(81, 5), 0.9, pytest.approx(0.4))]
    assert rests(*path, now=0.9 + REST / 2) == []
    reader = LogReader(rests=True)
    reader.read(path)
    assert len(reader.rest(5)) == 1 and reader.rest(6) == []
    assert [each.input for each in reader.read([pointer(To(300, 5), time=7)])] == []
    late = [*path, pointer(To(300, 5), time=2)]
    assert rests(*late) == [(Move(81, 5), 0.9, pytest.approx(0.4))], "it has moved on"


def test_a_rest_with_a_button_or_before_a_click_is_none() -> None:
    press, release = Button(0, True), Button(0, False)
    assert rests(pointer(To(5, 5), time=0), pointer(press, time=1), now=9) == []
    drag = [pointer(To(5, 5), press, time=0), pointer(To(9, 9), time=1), pointer(release, time=3)]
    assert rests(*drag, now=9) == [(Move(9, 9), 1, 1)], "after the release"
    assert read(*[pointer(To(x, 5), time=x) for x in range(9)]) == [], "not asked for"


def test_the_answer_to_a_press_is_not_one_to_the_pointer() -> None:
    click = pointer(To(5, 5), Button(0, True), Button(0, False), time=1.0)
    near = pointer(To(9, 9), time=2.0)
    assert rests(click, near, now=3.0) == [(Move(9, 9), 2.0, pytest.approx(1.3))]
    at_once = pointer(To(9, 9), time=1.1)
    assert rests(click, at_once, now=3.0) == [(Move(9, 9), 1.1, 1.1)]
