"""Actions: their spaces, and the inputs of their values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gymnasium")

from gymnasium.vector.utils import batch_space, iterate

from kju.acting.inputs import Chord, Click, KeyDown, KeyUp, Move, Type
from kju.agents import DIALECTS
from kju.errors import UsageError
from kju.gym.actions import (
    ActionContext,
    Actions,
    ChordActions,
    DialectActions,
    HeldKeyActions,
    PointerActions,
    TextActions,
    checked,
    held_after,
)
from kju.keys import number

LEFT, RIGHT = number("left"), number("right")
SIZE = ActionContext((100, 50))


def test_held_keys_are_exchanged() -> None:
    actions = ChordActions("", "left", "left-right")
    assert actions.inputs(0, SIZE) == []
    assert actions.inputs(1, SIZE) == [KeyDown(LEFT)]
    assert actions.inputs(2, ActionContext((1, 1), (LEFT,))) == [KeyDown(RIGHT)]
    assert actions.inputs(0, ActionContext((1, 1), (LEFT, RIGHT))) == [KeyUp(RIGHT), KeyUp(LEFT)]


def test_pressed_keys_are_chords() -> None:
    actions = ChordActions("", "ctrl-c", hold=False)
    assert actions.inputs(0, SIZE) == []
    assert actions.inputs(1, SIZE) == [Chord((number("ctrl"), number("c")))]


def test_each_key_of_a_set_is_up_or_down() -> None:
    actions = HeldKeyActions("left", "right")
    down = actions.inputs(np.array([1, 1], np.int8), SIZE)
    assert down == [KeyDown(LEFT), KeyDown(RIGHT)]
    assert actions.inputs(np.array([0, 1]), ActionContext((1, 1), (LEFT, RIGHT))) == [KeyUp(LEFT)]


def test_pointer_reaches_every_pixel_and_no_other() -> None:
    actions = PointerActions(("left", "right"))
    point = np.array([1.0, 0.0], np.float32)
    assert actions.inputs({"point": point, "button": 0}, SIZE) == [Move(99, 0)]
    assert actions.inputs({"point": point, "button": 2}, SIZE) == [Click(99, 0, "right")]


def test_text_is_typed_and_an_empty_one_is_not() -> None:
    actions = TextActions(10)
    assert actions.inputs("ls\n", SIZE) == [Type("ls\n")]
    assert actions.inputs("", SIZE) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialects_have_an_action_that_does_nothing(dialect: str) -> None:
    actions = DialectActions(dialect)
    action = actions.space.sample()
    checked(actions.space, action)
    assert actions.inputs(action, SIZE) == []


def test_actions_of_a_dialect_become_its_inputs() -> None:
    actions = DialectActions("computer_20251124")
    action = {"action": "left_click", "coordinate": [10, 20]}
    assert actions.inputs([action, action], SIZE) == [Click(10, 20)] * 2
    with pytest.raises(UsageError, match="100x50"):
        actions.inputs({"action": "left_click", "coordinate": [100, 20]}, SIZE)


@pytest.mark.parametrize(("actions", "wrong"), [
    (ChordActions("a"), 1), (ChordActions("a"), -1), (ChordActions("a"), math.nan),
    (ChordActions("a"), "a"),
    (HeldKeyActions("a"), [2]), (HeldKeyActions("a"), [0, 1]),
    (TextActions(3), "long text"), (TextActions(3), "é"), (TextActions(3), 7),
    (PointerActions(), {"point": np.array([math.nan, 0], np.float32), "button": 0}),
    (PointerActions(), {"point": np.array([1.1, 0], np.float32), "button": 0}),
    (PointerActions(), {"point": np.array([0, 0], np.float32), "button": 9}),
    (DialectActions("openai"), "click"), (DialectActions("openai"), [1]),
])  # fmt: skip
def test_other_values_are_refused(actions: Actions, wrong: Any) -> None:
    with pytest.raises(UsageError, match="is not an action: nothing was sent; the space is"):
        checked(actions.space, wrong)


@pytest.mark.parametrize("make", [
    lambda: ChordActions(), lambda: ChordActions("nokey"), lambda: HeldKeyActions(),
    lambda: HeldKeyActions("ctrl-a"), lambda: PointerActions(("fourth",)),
    lambda: TextActions(characters="é", layout="us"), lambda: DialectActions("none"),
])  # fmt: skip
def test_invalid_kinds_are_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize("actions", [
    ChordActions("a", "b"), HeldKeyActions("a"), PointerActions(), TextActions(),
    DialectActions("openai"),
], ids=lambda actions: type(actions).__name__)  # fmt: skip
def test_samples_are_valid_alone_and_in_a_batch(actions: Actions) -> None:
    space = actions.space
    for _ in range(20):
        checked(actions.space, sample := space.sample())
        actions.inputs(sample, SIZE)
    batch = batch_space(space, 3)
    for each in iterate(batch, batch.sample()):
        checked(actions.space, each)


def test_keys_after_inputs_are_counted() -> None:
    assert held_after([KeyDown("left"), KeyDown(RIGHT), Chord("a"), KeyUp("left")], ()) == (RIGHT,)
    assert held_after([], (LEFT,)) == (LEFT,)
