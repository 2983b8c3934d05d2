"""The rate of a source for viewers with different rates."""

from __future__ import annotations

import pytest

from kju.protocol.values import OWN_RATE, fastest, fastest_look


@pytest.mark.parametrize(
    ("rates", "rate"),
    [
        ([], None),
        ([None], None),
        ([2.0], 2.0),
        ([2.0, 4.0, 0.2], 4.0),
        ([2.0, None], None),  # the source's own pace is faster
        ([60.0, None, 2.0], 60.0),
        ([OWN_RATE, None], None),
    ],
)
def test_highest_rate_of_all_viewers_decides(rates: list[float | None], rate: float | None) -> None:
    assert fastest(rates) == rate


@pytest.mark.parametrize(
    ("rates", "rate"),
    [([], 0.0), ([0.0, 0.0], 0.0), ([0.0, 2.0], 2.0), ([0.0, None], None), ([0.0, 60.0], 60.0)],
)
def test_viewers_that_do_not_look_do_not_count(
    rates: list[float | None], rate: float | None
) -> None:
    assert fastest_look(rates) == rate
