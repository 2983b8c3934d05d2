"""Inputs without a result, and the versions that show their effect."""

from __future__ import annotations

import pytest

from kju.errors import InputError, KjuError, RoleError
from kju.remote.mirror_link import (
    MAX_MARKS,
    STALE_TIME,
    PendingInputs,
    StatedRate,
    VersionMarks,
    input_error,
)
from kju.wire.messages import InputDone, RateDone


async def test_inputs_are_numbered_and_get_their_own_results() -> None:
    inputs = PendingInputs()
    (first, one), (second, two) = inputs.add(), inputs.add()
    assert (first, second) == (1, 2)
    inputs.finish(InputDone(2, version=7))
    inputs.finish(InputDone(2, version=8))
    inputs.finish(InputDone(99))
    assert (await two).version == 7
    assert not one.done()


async def test_the_end_of_a_session_fails_its_inputs_and_restarts_their_numbers() -> None:
    inputs = PendingInputs()
    _, result = inputs.add()
    inputs.fail_all("the sender has ended")
    with pytest.raises(InputError, match="the sender has ended"):
        await result
    assert inputs.add()[0] == 1


def test_a_mark_is_the_version_here_that_showed_a_version_there() -> None:
    marks = VersionMarks()
    assert marks.ours(5, 3) == 3
    marks.restart(10)
    marks.add(4, 11)
    marks.add(9, 12)
    assert [marks.ours(theirs, 0) for theirs in (0, 4, 8, 9, 50)] == [10, 11, 11, 12, 12]
    for number in range(MAX_MARKS):
        marks.add(100 + number, 200 + number)
    assert marks.ours(4, 0) == 200


@pytest.mark.parametrize(
    ("name", "kind"), [("InputError", InputError), ("RoleError", RoleError), ("Other", KjuError)]
)
def test_an_error_of_the_sender_has_its_type(name: str, kind: type[KjuError]) -> None:
    assert type(input_error(InputDone(1, error=name, reason="why"))) is kind


def test_a_picture_that_is_looked_at_rarely_becomes_stale_later() -> None:
    rate = StatedRate()
    assert rate.stale_time == STALE_TIME
    assert rate.set(2.0)
    assert rate.stale_time > 2 * STALE_TIME
    assert not rate.set(2.0)
    rate.begin()
    assert rate.stale_time > 2 * STALE_TIME


def test_stale_time_shortens_when_the_sender_has_confirmed_a_higher_rate() -> None:
    rate = StatedRate()
    rate.set(2.0)
    rate.begin()
    rate.set(None)
    rate.set(2.0)
    rate.set(None)
    assert rate.stale_time > 2 * STALE_TIME
    rate.receive(RateDone(2, 1))  # of an earlier change
    assert rate.stale_time > 2 * STALE_TIME
    rate.receive(RateDone(4, 1))
    assert rate.stale_time == STALE_TIME
