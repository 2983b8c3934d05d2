"""Distances from positions, notches from fractions, and what pointers look like."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kju.surface import Cursor
from kju.viewers.pointer import PointerShape, Pointing, Relative, Wheel, draws_cursor, pointer_shape

SHAPE = np.zeros((4, 4, 4), np.uint8)
SHOWN = Cursor(1, True, 5, 5, 0, 0, SHAPE)
HIDDEN = SHOWN._replace(visible=False)
NONE = SHOWN._replace(shape=SHAPE[:0, :0])


@given(
    st.lists(st.tuples(st.integers(-10, 10), st.integers(-10, 10)), max_size=60),
    st.sampled_from([0.5, 1.0, 1.5, 3.0]),
    st.integers(0, 3),
)
def test_no_distance_is_lost_or_made_up_when_the_pointer_is_recentre(steps, scale, late):
    """The window system obeys some events late: those still come from the old place."""
    relative, view = Relative(), (400, 300)
    at = [200, 150]
    moved = [0, 0]
    waiting: tuple[int, tuple[int, int]] | None = None
    relative.moved((200, 150), scale)
    for dx, dy in steps:
        if waiting is not None:
            left, target = waiting
            waiting = (left - 1, target) if left else None
            if not left:
                at = list(target)
        at = [at[0] + dx, at[1] + dy]
        got = relative.moved((at[0], at[1]), scale)
        moved = [moved[0] + got[0], moved[1] + got[1]]
        if (target := relative.recentre(view)) is not None:
            waiting = (late, target)
    wanted = [sum(s[axis] for s in steps) / scale for axis in (0, 1)]
    assert all(abs(a - b) < 1 + 1e-9 for a, b in zip(moved, wanted, strict=True))


@given(st.lists(st.floats(0.01, 3)))
def test_fractions_of_notches_add_up(turns):
    wheel = Wheel()
    total = sum(wheel.turned(turn, 0)[0] for turn in turns)
    assert sum(turns) - 1.001 < total <= sum(turns) + 0.001


def test_a_wheel_turned_back_starts_afresh():
    wheel = Wheel()
    assert wheel.turned(0.75, 0) == (0, 0)
    assert wheel.turned(-0.75, 0) == (0, 0)
    assert wheel.turned(-0.25, 0) == (-1, 0)
    assert wheel.turned(0, 2) == (0, 2)


@pytest.mark.parametrize(
    ("pointing", "cursor", "look", "drawn"),
    [
        (Pointing(True, True, False, True), SHOWN, PointerShape.GUEST, False),
        (Pointing(True, True, False, True), HIDDEN, PointerShape.HIDDEN, False),
        (Pointing(True, True, False, True), NONE, PointerShape.DOT, False),
        (Pointing(True, True, False, True), None, PointerShape.DOT, False),
        # Somebody else moves the guest's pointer: seen where it is.
        (Pointing(True, True, False, False), SHOWN, PointerShape.GUEST, True),
        (Pointing(True, False, False, True), SHOWN, PointerShape.ARROW, True),
        (Pointing(True, False, True, True), SHOWN, PointerShape.HIDDEN, True),
        (Pointing(True, False, True, True), NONE, PointerShape.HIDDEN, False),
        (Pointing(False, True, False, True), SHOWN, PointerShape.ARROW, True),
        (Pointing(False, True, False, True), HIDDEN, PointerShape.ARROW, False),
    ],
)
def test_one_pointer_is_to_be_seen(pointing, cursor, look, drawn):
    assert pointer_shape(pointing, cursor) is look
    assert draws_cursor(pointing, cursor) is drawn
