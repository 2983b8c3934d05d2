"""The generated table of keys has no key and no code twice."""

from __future__ import annotations

from kju.keys.table import KEYS


def test_numbers_names_and_codes_are_unique() -> None:
    for column in (0, 1, 2):
        assert len({key[column] for key in KEYS}) == len(KEYS)
    for column in (3, 4):
        listed = [entry for key in KEYS for entry in key[column]]
        assert len(set(listed)) == len(listed)


def test_a_set_1_scan_code_below_f13_is_the_evdev_code() -> None:
    low = [(number, evdev) for number, _, evdev, _, _ in KEYS if number <= 0x53]
    assert low == [(n, n) for n in range(1, 0x54)]
