"""The rate limit of log lines that peers can trigger."""

from __future__ import annotations

from kju.remote.notices import INTERVAL, MAX_LINES, Notices


def test_equal_lines_are_logged_once_in_an_interval() -> None:
    said: list[str] = []
    now = [0.0]
    notices = Notices(said.append, lambda: now[0])
    for _ in range(1000):
        notices.report("eve is not known")
        now[0] += INTERVAL / 500
    assert said == ["eve is not known"] * 2


def test_different_lines_are_limited() -> None:
    said: list[str] = []
    notices = Notices(said.append, lambda: 0.0)
    for number in range(1000):
        notices.report(f"{number} is not known")
    assert len(said) == MAX_LINES


def test_control_characters_are_escaped() -> None:
    said: list[str] = []
    Notices(said.append).report("\x1b]0;owned\x07\nERROR kju")
    assert said == [r"\x1b]0;owned\x07\nERROR kju"]
