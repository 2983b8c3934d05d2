"""Requests of keyboards and pointers: the inputs of one step."""

from __future__ import annotations

import math

import pytest

from kju.acting import Chord, Click, Drag, KeyDown, KeyUp, Pause, Type, Wheel
from kju.client.input_requests import as_steps, step_request
from kju.errors import UsageError
from kju.keys import number
from kju.protocol.values import Button, To, TurnWheel

CTRL, A = number("ctrl"), number("a")


def test_step_without_inputs_only_runs() -> None:
    assert as_steps(()) == as_steps(([],)) == []
    request = step_request(1, 0.02, [])
    assert (request.microseconds, request.console) == (20_000, 1)
    assert (request.keys, request.actions, request.releases) == ([], [], [])


def test_chords_texts_and_single_keys_are_joined() -> None:
    request = step_request(0, 1, [KeyDown("ctrl"), Chord("a"), KeyUp("ctrl"), Type("a")])
    a = [(A, True), (A, False)]
    assert list(map(tuple, request.keys)) == [(CTRL, True), *a, (CTRL, False), *a]


def test_keys_of_a_click_are_released_after_it() -> None:
    request = step_request(0, 1, [Click(3, 4, keys=("ctrl",)), KeyUp("a")])
    assert request.keys == [(CTRL, True)]
    assert request.actions == [To(3, 4), Button(0, True), Button(0, False)]
    assert request.releases == [(CTRL, False), (A, False)]


def test_pointer_actions_follow_each_other() -> None:
    request = step_request(0, 1, [Drag([(1, 1), (2, 2)]), Wheel(3, 0, 5, 5)])
    assert request.actions[-2:] == [To(5, 5), TurnWheel(3, 0)]
    assert len(request.actions) == 6 and not request.releases


@pytest.mark.parametrize("slow", [Pause(1), Chord("a", 0.5)])
def test_inputs_that_take_time_are_refused(slow: Pause | Chord) -> None:
    with pytest.raises(UsageError, match="use several steps"):
        as_steps((slow,))


@pytest.mark.parametrize("inputs", [
    [Click(1, 1, keys=("ctrl",)), Click(2, 2)],
    [Click(1, 1), Click(2, 2, keys=("ctrl",))],
])  # fmt: skip
def test_another_order_is_refused(inputs: list[Click]) -> None:
    with pytest.raises(UsageError, match="use several steps"):
        step_request(0, 1, inputs)


@pytest.mark.parametrize("seconds", [0, -1, 11, math.nan, math.inf, 0.0001])
def test_time_out_of_range_is_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match=r"0\.001 to 10 seconds"):
        step_request(0, seconds, [])


def test_long_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="divide it"):
        step_request(0, 1, [Type("a" * 600)])
