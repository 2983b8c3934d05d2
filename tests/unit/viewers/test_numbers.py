"""The figures of a view, with a clock that the test moves."""

from __future__ import annotations

import pytest

from kju.viewers.numbers import KEYS, SPAN, Numbers, Usage


def key(numbers: Numbers, at: float, answer: float, painted: float) -> None:
    numbers.pressed(at)
    numbers.updated(at + answer, at + answer, 0.1)
    numbers.painted(at + painted)


def test_key_lasts_until_its_damage_is_painted():
    numbers = Numbers(0.0)
    key(numbers, 1.0, 0.004, 0.006)
    report = numbers.report(1.1, Usage(), "vram")
    assert report.keys == 1
    assert report.key_median == pytest.approx(0.006)
    assert dict(report.rows)["Key to pixel"] == "6.0 / 6.0 ms (p50 / p95)"


def test_damage_read_before_the_key_is_not_its_answer():
    numbers = Numbers(0.0)
    numbers.pressed(1.0)
    numbers.updated(1.001, 0.999, 0.1)
    numbers.painted(1.002)
    assert numbers.report(1.1, Usage(), "").keys == 0
    numbers.updated(1.005, 1.005, 0.1)
    numbers.painted(1.006)
    assert numbers.report(1.1, Usage(), "").key_median == pytest.approx(0.006)


def test_update_without_pixels_is_not_an_answer():
    numbers = Numbers(0.0)
    numbers.pressed(1.0)
    numbers.updated(1.002, 1.002, 0.0)  # only the cursor or the state
    numbers.painted(1.003)
    assert numbers.report(1.1, Usage(), "").keys == 0


def test_unanswered_key_is_not_measured():
    numbers = Numbers(0.0)
    numbers.pressed(1.0)
    numbers.updated(9.0, 9.0, 0.1)
    numbers.painted(9.0)
    assert numbers.report(9.0, Usage(), "").keys == 0
    key(numbers, 10.0, 0.003, 0.004)
    assert numbers.report(10.1, Usage(), "").keys == 1


def test_only_the_last_keys_count():
    numbers = Numbers(0.0)
    for number in range(KEYS):
        key(numbers, 1.0 + number, 0.5, 0.6)
    for number in range(KEYS):
        key(numbers, 1000.0 + number, 0.001, 0.002)
    report = numbers.report(2000.0, Usage(), "")
    assert report.keys == KEYS
    assert report.key_most == pytest.approx(0.002)


def test_percentiles_of_a_hundred_keys():
    numbers = Numbers(0.0)
    for number in range(100):
        key(numbers, 1.0 + number, 0.0, (number + 1) / 1000)
    report = numbers.report(200.0, Usage(), "")
    assert report.key_median == pytest.approx(0.051)
    assert report.key_most == pytest.approx(0.096)


def test_rates_are_those_of_the_last_seconds():
    numbers = Numbers(0.0)
    for number in range(600):
        at = number / 60
        numbers.updated(at, at, 0.25)
    report = numbers.report(10.0, Usage(), "")
    assert report.updates == pytest.approx(60, abs=1)
    assert report.damaged == pytest.approx(0.25)
    assert numbers.report(10.0 + 2 * SPAN, Usage(), "").updates == 0


def test_cpu_is_the_share_since_the_last_reports():
    numbers = Numbers(0.0)
    assert numbers.report(1.0, Usage(5.0, 7.0), "").host is None
    report = numbers.report(2.0, Usage(5.25, 7.5), "")
    assert (report.host, report.viewer) == (pytest.approx(0.25), pytest.approx(0.5))
    for second in range(3, 9):
        report = numbers.report(second, Usage(None, 7.5), "")
    assert (report.host, report.viewer) == (None, 0.0)
    assert dict(report.rows)["CPU of the host"] == "unknown"
