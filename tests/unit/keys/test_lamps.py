"""Read the lamps of a keyboard from QEMU's bits."""

from __future__ import annotations

import pytest

from kju import keys
from kju.keys import LOCKS, Lamps


@pytest.mark.parametrize(
    ("bits", "names"),
    [
        (0, []),
        (1, ["scroll"]),
        (2, ["num"]),
        (4, ["caps"]),
        (7, ["scroll", "num", "caps"]),
        (8, []),  # a bit that QEMU does not define
    ],
)
def test_each_bit_is_one_lamp(bits: int, names: list[str]) -> None:
    assert Lamps.from_bits(bits).names == names


def test_lock_keys_are_in_the_order_of_the_lamps() -> None:
    assert [keys.NAMES[key] for key in LOCKS] == [f"{name}_lock" for name in Lamps._fields]
