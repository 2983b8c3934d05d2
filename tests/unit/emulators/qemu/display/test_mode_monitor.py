"""The schedule of the checks whether QEMU shows the picture in the video memory."""

from __future__ import annotations

import itertools

import pytest

from kju.emulators.qemu.display.mode_monitor import VERIFY, VERIFY_FIRST, VERIFY_SLOW, _PictureCheck


def comparisons(check: _PictureCheck, seconds: float, version: int) -> list[float]:
    """Run the checks that are due until a time; return the times of those with a screenshot."""
    found = []
    while check.due_at <= seconds:
        now = check.due_at
        if check.begin(now, version, slow=False):
            found.append(now)
        assert check.due_at == now + VERIFY, "the guest may blank the screen at any time"
    return found


@pytest.fixture
def check() -> _PictureCheck:
    made = _PictureCheck()
    made.expect(1000.0)
    return made


def test_screen_at_rest_is_compared_ever_more_rarely(check: _PictureCheck) -> None:
    times = comparisons(check, 1600.0, version=1)
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[:4] == [VERIFY, 2 * VERIFY, 4 * VERIFY, 8 * VERIFY]
    assert pauses == sorted(pauses)
    assert VERIFY_SLOW <= pauses[-1] < VERIFY_SLOW + VERIFY


def test_publication_has_the_next_check_compare(check: _PictureCheck) -> None:
    comparisons(check, 1600.0, version=1)
    at = check.due_at
    assert check.begin(at, 2, slow=False)
    assert comparisons(check, at + 100, version=2)[:2] == [at + VERIFY, at + 3 * VERIFY]


def test_new_mode_is_compared_at_its_time(check: _PictureCheck) -> None:
    comparisons(check, 1600.0, version=1)
    check.expect(1700.0)
    assert check.due_at == 1700.0
    assert check.begin(1700.0, 1, slow=False)


def test_two_differences_in_a_row_are_another_picture(check: _PictureCheck) -> None:
    assert check.begin(1000.0, 1, slow=False)
    assert not check.note(differs=True, now=1000.0)
    assert check.due_at == 1000.0 + VERIFY_FIRST
    assert check.begin(check.due_at, 1, slow=False), "the second is taken at once"
    assert check.note(differs=True, now=1000.3)
    assert not check.note(differs=False, now=1004.0)
    assert not check.note(differs=True, now=1008.0)


def test_slow_viewers_have_fewer_checks(check: _PictureCheck) -> None:
    assert check.begin(1000.0, 1, slow=True)
    assert check.due_at == 1000.0 + VERIFY_SLOW
