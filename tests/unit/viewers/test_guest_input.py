"""Distances from positions, and notches from fractions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kju.viewers.guest_input import NotchCounter, Relative


@given(
    st.lists(st.tuples(st.integers(-10, 10), st.integers(-10, 10)), max_size=60),
    st.sampled_from([0.5, 1.0, 1.5, 3.0]),
    st.integers(0, 3),
)
def test_recentring_the_pointer_keeps_the_total_distance(steps, scale, late):
    """The window system delivers some events late, with the old position."""
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
    wheel = NotchCounter()
    total = sum(wheel.turned(turn, 0)[0] for turn in turns)
    assert sum(turns) - 1.001 < total <= sum(turns) + 0.001


def test_wheel_turned_back_starts_at_zero():
    wheel = NotchCounter()
    assert wheel.turned(0.75, 0) == (0, 0)
    assert wheel.turned(-0.75, 0) == (0, 0)
    assert wheel.turned(-0.25, 0) == (-1, 0)
    assert wheel.turned(0, 2) == (0, 2)
