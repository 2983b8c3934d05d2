"""The log of an encoder's steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
import pytest

from kju.wire import steps
from kju.wire.messages import Photo
from kju.wire.steps import MAX_KEPT, PHOTO_OVERHEAD, Block, Step, StepLog

NO_TILES = np.zeros(0, np.intp)


def step(generation: int, size: int = 10) -> Step:
    return Step(generation, 1, 1, NO_TILES, Block(size, bytes(size)))


def test_a_step_follows_its_generation() -> None:
    log = StepLog()
    for generation in (5, 6, 7):
        log.append(step(generation))
    found = log.after(5)
    assert found is not None
    assert found.generation == 6
    assert log.after(3) is None
    assert log.after(7) is None


def test_the_oldest_steps_are_dropped_over_the_limit_but_never_the_last() -> None:
    log = StepLog()
    for generation in range(1, 5):
        log.append(step(generation, MAX_KEPT // 2))
    assert [log.after(number) is not None for number in range(4)] == [False, False, True, True]
    log.append(step(5, 2 * MAX_KEPT))
    assert [log.after(number) is not None for number in range(5)] == [False] * 4 + [True]


def test_the_length_of_a_step_counts_its_photos() -> None:
    photo = Photo(0, 0, 8, 8, bytes(30))
    assert step(1)._replace(photos=(photo,)).length == 10 + 30 + PHOTO_OVERHEAD


def test_a_step_is_found_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long session keeps thousands of steps, and every viewer asks at each change."""

    class Unsearched(deque[Step]):
        def __iter__(self) -> Iterator[Step]:
            raise AssertionError("the log was searched")

    monkeypatch.setattr(steps, "deque", Unsearched)
    log = StepLog()
    assert log.after(0) is None
    for generation in range(1, 100):
        log.append(step(generation))
    assert [log.after(number) is not None for number in (0, 50, 98, 99, 100)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    found = log.after(50)
    assert found is not None
    assert found.generation == 51
