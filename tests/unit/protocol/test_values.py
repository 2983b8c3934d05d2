"""Roles, and the first step of the last chord or gesture."""

from __future__ import annotations

import pytest

from kju import keys
from kju.protocol.messages import GetInfo, Keys, Point
from kju.protocol.values import (
    ROLES,
    Button,
    Finger,
    Role,
    To,
    TurnWheel,
    granted,
    last_chord,
    last_gesture,
    may_send_input,
    size_fault,
)

DOWN, UP = Button(0, True), Button(0, False)


@pytest.mark.parametrize("held", ROLES)
@pytest.mark.parametrize("wanted", ROLES)
def test_a_user_gets_control_only_if_held_and_wanted(held: Role, wanted: Role) -> None:
    role = granted(held, wanted)
    assert may_send_input(role) is (may_send_input(held) and may_send_input(wanted))


def test_only_control_may_send_input() -> None:
    assert [role for role in ROLES if may_send_input(role)] == ["control"]


@pytest.mark.parametrize(
    ("chords", "begin"),
    [(["a"], 0), (["ctrl-alt-f2"], 0), (["a", "b"], 2), (["ctrl-k", "ctrl-alt-c"], 4)],
)
def test_a_chord_begins_with_its_first_key(chords: list[str], begin: int) -> None:
    assert last_chord(keys.steps(map(keys.parse_chord, chords))) == begin


@pytest.mark.parametrize(
    ("text", "begin"),
    # Shift goes down at 2 in "aB", and stays down over both letters of "AB".
    [("a", 0), ("ab", 2), ("aB", 2), ("AB", 3), ("ABc", 6)],
)
def test_a_character_begins_with_its_first_key(text: str, begin: int) -> None:
    (steps,) = keys.held_steps(keys.layout("us").strokes(text), 64)
    assert last_chord(steps) == begin


@pytest.mark.parametrize("steps", [[(30, True)], [(29, True), (30, True)], [(30, False)], []])
def test_presses_or_releases_alone_begin_with_the_first(steps: list[tuple[int, bool]]) -> None:
    assert last_chord(steps) == 0


@pytest.mark.parametrize(
    ("actions", "begin"),
    [
        ([], 0),
        ([DOWN], 0),
        ([To(1, 1), DOWN, UP], 1),
        ([DOWN, UP, DOWN, UP], 2),
        ([To(1, 1), DOWN, *[To(2, 2)] * 50, UP], 1),
        ([UP, Button(1, False)], 0),
        ([To(1, 1), TurnWheel(1, 0)], 1),
        ([Finger(0, "begin", 1, 1), Finger(1, "begin", 2, 2), Finger(0, "end", 1, 1)], 0),
    ],
)
def test_a_gesture_begins_with_the_press(actions: list[object], begin: int) -> None:
    assert last_gesture(actions) == begin  # type: ignore[arg-type]


@pytest.mark.parametrize("size", ["2G", "64M", "1.5G", "20g", "0.5T", "512K"])
def test_a_size_has_a_number_and_a_unit(size: str) -> None:
    assert size_fault("memory", size) == ""


@pytest.mark.parametrize("size", ["2", "2X", "G", "0G", "0.0G", "-2G", "2 G", "2GB", "", "2G\n", 2])
def test_another_size_is_refused(size: object) -> None:
    assert size_fault("disk", size).endswith("write a number and a unit, such as 20G")


def test_a_plain_number_is_memory_in_mib_but_no_disk_size() -> None:
    assert size_fault("memory", "2048") == ""
    assert size_fault("disk", "2048")


def test_a_request_that_only_releases_is_known() -> None:
    lift, touch = Finger(0, "end", 1, 1), Finger(0, "begin", 1, 1)
    assert Keys(steps=[(30, False), (42, False)]).only_releases
    assert Point(actions=[UP, lift]).only_releases
    for other in (
        Keys(steps=[(30, True), (30, False)]),
        Keys(steps=[]),
        Point(actions=[DOWN, UP]),
        Point(actions=[To(1, 1), UP]),
        Point(actions=[touch]),
        Point(actions=[TurnWheel(1)]),
        Point(actions=[]),
        GetInfo(),
    ):
        assert not other.only_releases, other
