"""Replayed and delayed message numbers."""

from __future__ import annotations

import random

from kju.wire.replay import REPLAY_SPAN, ReplayGuard


def test_each_number_is_new_once_in_any_order() -> None:
    guard, numbers = ReplayGuard(), list(range(1, 500)) * 2
    random.Random(1).shuffle(numbers)
    accepted = []
    for number in numbers:
        if guard.is_new(number):
            guard.record(number)
            accepted.append(number)
    assert sorted(accepted) == list(range(1, 500))


def test_numbers_up_to_the_start_are_not_new() -> None:
    guard = ReplayGuard(7)
    assert [guard.is_new(number) for number in (6, 7, 8)] == [False, False, True]


def test_numbers_that_are_too_old_are_rejected() -> None:
    guard = ReplayGuard()
    guard.record(1)
    guard.record(REPLAY_SPAN + 1)
    assert not guard.is_new(1)
    assert guard.is_new(2)
    assert not guard.is_new(0)
    guard.record(10 * REPLAY_SPAN)
    assert not guard.is_new(REPLAY_SPAN + 2)
    assert guard.is_new(9 * REPLAY_SPAN + 1)
    assert not guard.is_new(9 * REPLAY_SPAN)
    assert guard._seen < 1 << REPLAY_SPAN
