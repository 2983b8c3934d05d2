"""The budget of pictures of a view, with a clock that the test moves."""

from __future__ import annotations

import itertools
import random

import pytest

from kju.viewers.pacing import BURST, LOAN, LOAN_FRAMES, Pacing

FRAME = 1 / 60


def drawn(changes: list[float], inputs: list[float], frame: float = FRAME) -> list[float]:
    """Return the times at which a view draws, for changes and inputs at these times."""
    pacing, pictures = Pacing(), []
    waiting = list(inputs)
    for change in changes:
        if pictures and change <= pictures[-1]:
            continue  # a picture contains it already
        now = change
        while True:
            while waiting and waiting[0] <= now:
                pacing.note_input(waiting.pop(0))
            if pacing.due <= now:
                break
            now = min([pacing.due, *waiting[:1]])
        pacing.drew(now, frame)
        pictures.append(now)
    return pictures


def test_changes_after_a_rest_are_drawn_at_once():
    assert drawn([1.0, 1.001], []) == [1.0, 1.001]


def test_third_change_waits_for_the_displays_next_picture():
    assert drawn([1.0, 1.001, 1.002], [])[-1] == pytest.approx(1.0 + FRAME, abs=1e-9)


def test_animation_at_the_displays_rate_is_never_late():
    changes = [1 + number * FRAME for number in range(600)]
    assert drawn(changes, []) == changes


@pytest.mark.parametrize("rate", [24, 60, 144])
def test_no_more_pictures_than_the_display_shows(rate: int):
    frame = 1 / rate
    changes = [1 + number / 1000 for number in range(4000)]
    inputs = [1 + number / 30 for number in range(120)]
    for sent, extra in (([], BURST), (inputs, BURST + LOAN)):
        pictures = drawn(changes, sent, frame)
        for first, start in enumerate(pictures):
            for last in range(first, len(pictures), 40):
                allowed = (pictures[last] - start) * rate + extra
                assert last - first + 1 <= allowed + 1e-6


def test_change_after_an_input_does_not_wait():
    animation = [1 + number / 120 for number in range(240)]
    for sent in (2.001, 2.004, 2.0075):
        answer = sent + 0.0005
        pictures = drawn(sorted([*animation, answer]), [sent])
        assert answer in pictures


def test_input_during_a_wait_ends_it():
    pacing = Pacing()
    for now in (1.0, 1.001):
        pacing.drew(now, FRAME)
    assert pacing.due > 1.01
    pacing.note_input(1.003)
    assert pacing.due <= 1.003


def test_every_key_of_a_fast_typist_is_drawn_at_once_over_an_animation():
    chance = random.Random(7)
    animation = [1 + number / 60 for number in range(1200)]
    inputs = [1.5 + number / 8 + chance.random() / 30 for number in range(120)]
    answers = [sent + 0.003 for sent in inputs]
    pictures = drawn(sorted([*animation, *answers]), inputs)
    assert set(answers) <= set(pictures)


def test_loan_is_paid_back_without_a_stop():
    changes = [1 + number / 1000 for number in range(1000)]
    pictures = drawn(changes, [1.5])
    before = [time for time in pictures if 1.4 < time <= 1.5]
    after = [time for time in pictures if 1.5 < time <= 1.5 + LOAN_FRAMES * FRAME + 0.1]
    gaps = [b - a for a, b in itertools.pairwise(after)]
    assert len([gap for gap in gaps if gap < FRAME / 2]) >= LOAN - 1
    assert max(gaps) < 2.1 * FRAME
    rest = [b - a for a, b in itertools.pairwise(before)]
    assert max(rest) == pytest.approx(FRAME, abs=0.0015)


def test_display_that_changes_its_rate_changes_the_budget():
    pacing = Pacing()
    for now in (1.0, 1.0, 1.0):
        pacing.drew(now, 1 / 30)
    assert pacing.due == pytest.approx(1.0 + 2 / 30)
