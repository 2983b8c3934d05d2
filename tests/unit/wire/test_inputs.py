"""Repeated, reordered and missing inputs."""

from __future__ import annotations

import itertools

import pytest

from kju.errors import PeerError
from kju.wire.inputs import MAX_GAP_TIME, MAX_INPUTS, InputQueue
from kju.wire.messages import Input


def taken(inputs: InputQueue, *numbers: int, now: float = 0.0) -> list[list[int]]:
    """What is to be done after each of them."""
    return [[done.number for done in inputs.add(Input(n, b"%d" % n), now)] for n in numbers]


def test_an_early_input_waits_for_earlier_ones() -> None:
    inputs = InputQueue()
    assert taken(inputs, 3, 2, 3, 5, 1, 2, 4) == [[], [], [], [], [1, 2, 3], [], [4, 5]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(1, 5))))
def test_each_is_done_once_in_any_order(order: tuple[int, ...]) -> None:
    done = taken(InputQueue(), *order, *order)
    assert [*itertools.chain(*done)] == [1, 2, 3, 4]


def test_an_input_finishes_once() -> None:
    inputs = InputQueue()
    taken(inputs, 1)
    assert [inputs.finish(1), inputs.finish(1), inputs.finish(2)] == [True, False, False]


def test_an_input_waits_for_a_missing_one_only_so_long() -> None:
    inputs = InputQueue()
    taken(inputs, 2)
    taken(inputs, 3, now=MAX_GAP_TIME)
    with pytest.raises(PeerError, match="input 1 is missing"):
        taken(inputs, 3, now=MAX_GAP_TIME + 0.1)


@pytest.mark.parametrize("first", [1, 2])
def test_waiting_and_unfinished_inputs_are_limited(first: int) -> None:
    inputs = InputQueue()
    taken(inputs, *range(first, MAX_INPUTS + 1))
    assert len(inputs) == MAX_INPUTS - first + 1
    with pytest.raises(PeerError, match="inputs before one was finished"):
        taken(inputs, MAX_INPUTS + 1)
    inputs.clear()
    assert len(inputs) == 0
