"""The shares of links, users, computers and walls in the memory of remote pictures."""

from __future__ import annotations

import concurrent.futures

import pytest

from kju.errors import LimitError
from kju.remote.memory_target import MemoryBudget
from kju.web.access_list import Principal
from kju.web.remote.gateway import ASSUMED_SIZE, memory_refusal
from kju.web.remote.mirror_origin import MirrorParts

MIB = 1 << 20
BY_LINK = Principal("S1", "view", frozenset(), 0.0, link="L1")
BY_PASSWORD = Principal("S1", "view", frozenset(), 0.0, user="ann")


@pytest.mark.parametrize(
    ("holder", "most", "who"), [(BY_LINK, 256, "the link L1"), (BY_PASSWORD, 128, "the user ann")]
)
def test_a_holder_gets_no_further_screen_above_its_share(
    holder: Principal, most: int, who: str
) -> None:
    assert memory_refusal(holder, [most * MIB - 1], 512 * MIB) == ""
    assert memory_refusal(holder, [most // 2 * MIB] * 2, 512 * MIB) == (
        f"{who} shows remote machines of {most} MiB, the most allowed: close some"
    )


def test_screens_that_are_being_opened_count() -> None:
    """Else a page could open all of them at once, before the first has a size."""
    count = 128 * MIB // ASSUMED_SIZE
    assert memory_refusal(BY_PASSWORD, [0] * (count - 1), 512 * MIB) == ""
    assert memory_refusal(BY_PASSWORD, [0] * count, 512 * MIB)


def test_each_computer_has_an_equal_part_and_walls_have_half_of_it() -> None:
    whole = MemoryBudget(512 * MIB)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        one, other = (MirrorParts.of_computer(threads, whole, 2) for _ in range(2))
    one.for_small_pictures().budget.take(128 * MIB)
    with pytest.raises(LimitError, match="128 MiB"):
        one.for_small_pictures().budget.take(1)
    one.budget.take(128 * MIB)
    with pytest.raises(LimitError, match="256 MiB"):
        one.budget.take(1)
    other.budget.take(256 * MIB)
    assert whole.used == 512 * MIB
    one.for_small_pictures().budget.give_back(128 * MIB)
    assert (one.budget.used, whole.used) == (128 * MIB, 384 * MIB)


def test_what_the_whole_refuses_is_not_counted_in_a_part() -> None:
    whole = MemoryBudget(10)
    part = MemoryBudget(10, whole)
    whole.take(6)
    with pytest.raises(LimitError):
        part.take(5)
    assert (part.used, whole.used) == (0, 6)
