"""Joined steps."""

from __future__ import annotations

from kju.acting import Chord, Click, Drag, MoveBy, Type, Wheel
from kju.acting.inputs import MAX_NOTCHES
from kju.acting.logged import LoggedAction
from kju.codegen.steps import IDLE, StepJoiner, is_drag
from kju.keys import NUMBERS

ENTER, DOWN = Chord((NUMBERS["ret"],)), Chord((NUMBERS["down"],))


def joined(*inputs: object, pause: float = 0.1) -> list[object]:
    joiner = StepJoiner()
    times = [pause * at for at in range(len(inputs))]
    actions = [LoggedAction(t, t, each, t) for t, each in zip(times, inputs, strict=True)]  # type: ignore[arg-type]
    steps = [*joiner.add(actions), *joiner.end()]
    assert joiner.pending is None
    return [step.input if step.times == 1 else (step.input, step.times) for step in steps]


def test_a_text_ends_with_the_enter_key() -> None:
    assert joined(Type("a"), Type("b"), ENTER, Type("c")) == [Type("ab\n"), Type("c")]
    assert joined(ENTER, Type("c")) == [ENTER, Type("c")]
    assert joined(Type("a"), DOWN, Type("b")) == [Type("a"), DOWN, Type("b")]
    assert joined(Type("a", "de"), Type("b", "de")) == [Type("ab", "de")]


def test_repeated_chords_are_counted() -> None:
    assert joined(DOWN, DOWN, DOWN, ENTER, ENTER) == [(DOWN, 3), (ENTER, 2)]


def test_quick_clicks_at_one_place_are_a_double_click() -> None:
    assert joined(Click(5, 5), Click(6, 7)) == [Click(5, 5, count=2)]
    assert joined(*[Click(5, 5)] * 5) == [Click(5, 5, count=3), Click(5, 5, count=2)]
    assert joined(Click(5, 5), Click(5, 5), pause=0.6) == [Click(5, 5), Click(5, 5)]
    assert joined(Click(5, 5), Click(50, 5)) == [Click(5, 5), Click(50, 5)]
    assert joined(Click(), Click()) == [Click(count=2)]
    right = Click(5, 5, "right")
    assert joined(Click(5, 5), right) == [Click(5, 5), right]


def test_the_wheel_and_distances_are_summed() -> None:
    assert joined(Wheel(1), Wheel(2)) == [Wheel(3)]
    assert joined(Wheel(1), Wheel(-1)) == [Wheel(1), Wheel(-1)]
    most = Wheel(MAX_NOTCHES)
    assert joined(most, Wheel(1)) == [most, Wheel(1)]
    assert joined(MoveBy(1, 2), MoveBy(3, -4)) == [MoveBy(4, -2)]
    far = MoveBy(32767, 0)
    assert joined(far, MoveBy(1, 0)) == [far, MoveBy(1, 0)]


def test_a_step_is_complete_when_nothing_follows() -> None:
    joiner = StepJoiner()
    assert joiner.add([LoggedAction(1.0, 1.5, Type("a"), 1.0)]) == []
    assert joiner.end_idle(1.5 + IDLE - 0.1) == []
    (step,) = joiner.end_idle(1.5 + IDLE)
    assert (step.input, step.began, step.ended) == (Type("a"), 1.0, 1.5)
    assert joiner.end_idle(99) == []


def test_only_a_straight_drag_has_two_ends() -> None:
    joiner = StepJoiner()
    corner = Drag(((0, 0), (9, 0), (9, 9)))
    for drag, is_one in ((Drag(((0, 0), (9, 9))), True), (corner, False)):
        joiner.add([LoggedAction(0, 0, drag, 0)])
        (step,) = joiner.end()
        assert is_drag(step) is is_one
