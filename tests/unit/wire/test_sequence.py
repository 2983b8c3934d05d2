"""The numbers of received messages: lost, repeated, reordered and replayed ones."""

from __future__ import annotations

import itertools
import random

import pytest

from kju.errors import PeerError
from kju.wire.messages import MAX_LOST, ViewerInput
from kju.wire.sequence import (
    MAX_GAP_TIME,
    MAX_INPUTS,
    REPLAY_SPAN,
    AckState,
    InputQueue,
    ReplayGuard,
)


def received(*serials: int) -> AckState:
    losses = AckState()
    for serial in serials:
        losses.receive(serial, float(serial))
    return losses


def test_a_gap_is_lost_until_the_sender_confirms_it() -> None:
    losses = received(1, 4, 6)
    assert (losses.last, losses.lost) == (6, [2, 3, 5])
    losses.confirm(3)
    assert losses.lost == [5]
    assert losses.missing_since == 6.0


def test_an_old_message_is_not_used_and_the_last_one_is_acknowledged_again() -> None:
    losses = received(1, 4)
    losses.is_ack_due = False
    assert not losses.receive(2, 5.0)
    assert not losses.is_ack_due
    assert not losses.receive(4, 5.0)
    assert losses.is_ack_due


def test_a_segment_that_builds_on_a_gap_cannot_be_used() -> None:
    losses = received(1, 4)
    assert [losses.can_use(since) for since in (0, 1, 3, 4)] == [True, False, False, True]


def test_too_many_losses_need_a_restart_and_a_mode_is_one() -> None:
    losses = received(1, MAX_LOST + 3)
    assert losses.wants_restart
    assert losses.lost == []
    assert not losses.can_use(0)
    losses.receive(MAX_LOST + 4, 300.0)
    losses.restart(MAX_LOST + 4)
    assert not losses.wants_restart
    assert losses.missing_since is None
    assert losses.can_use(MAX_LOST + 4)
    assert not losses.can_use(MAX_LOST + 3)


def test_newer_pixels_of_the_sender_count_as_missing_until_they_are_drawn() -> None:
    losses = received(1)
    losses.fall_behind(2.0)
    losses.fall_behind(3.0)
    assert losses.missing_since == 2.0
    losses.catch_up()
    assert losses.missing_since is None


def taken(inputs: InputQueue, *numbers: int, now: float = 0.0) -> list[list[int]]:
    """Return the inputs to carry out after each of these."""
    return [[done.number for done in inputs.add(ViewerInput(n, b"%d" % n), now)] for n in numbers]


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
