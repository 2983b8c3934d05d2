"""What others bring about is told once in a while, as one plain line."""

from __future__ import annotations

from kju.remote.notices import AGAIN, MOST, Notices


def test_the_same_is_said_once_in_a_while() -> None:
    said: list[str] = []
    now = [0.0]
    notices = Notices(said.append, lambda: now[0])
    for _ in range(1000):
        notices.say("eve is not known")
        now[0] += AGAIN / 500
    assert said == ["eve is not known"] * 2


def test_who_makes_up_new_things_is_not_heard_for_long() -> None:
    said: list[str] = []
    notices = Notices(said.append, lambda: 0.0)
    for number in range(1000):
        notices.say(f"{number} is not known")
    assert len(said) == MOST


def test_a_terminal_has_nothing_to_obey() -> None:
    said: list[str] = []
    Notices(said.append).say("\x1b]0;owned\x07\nERROR kju")
    assert said == [r"\x1b]0;owned\x07\nERROR kju"]
