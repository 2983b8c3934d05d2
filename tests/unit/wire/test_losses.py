"""The acknowledgement state of a receiver."""

from __future__ import annotations

from kju.wire.losses import Losses
from kju.wire.messages import MAX_LOST


def received(*serials: int) -> Losses:
    losses = Losses()
    for serial in serials:
        losses.receive(serial, float(serial))
    return losses


def test_a_gap_is_lost_until_the_sender_confirms_it() -> None:
    losses = received(1, 4, 6)
    assert (losses.last, losses.lost) == (6, [2, 3, 5])
    losses.confirm(3)
    assert losses.lost == [5]
    assert losses.since == 6.0


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
    assert losses.since is None
    assert losses.can_use(MAX_LOST + 4)
    assert not losses.can_use(MAX_LOST + 3)


def test_newer_pixels_of_the_sender_count_as_missing_until_they_are_drawn() -> None:
    losses = received(1)
    losses.fall_behind(2.0)
    losses.fall_behind(3.0)
    assert losses.since == 2.0
    losses.catch_up()
    assert losses.since is None
