"""The arguments that kju appends for Xvfb, and those that it rejects."""

from __future__ import annotations

import pytest

from kju.emulators.xvfb.arguments import plan
from kju.errors import ConflictError


def added(*user: str) -> list[str]:
    return [" ".join(part.arguments) for part in plan(user, 7, "/run/x").appended]


def test_all_arguments_are_appended_for_a_user_without_any() -> None:
    found = plan([], 7, "/run/x")
    assert added() == ["-screen 0 1280x800x24", "-fbdir /run/x", "-noreset", "-displayfd 7"]
    assert all(part.reason for part in found.appended)
    assert found.notes == ()


def test_user_arguments_stand_first_and_unchanged() -> None:
    user = (":9", "-screen", "0", "640x480x24", "-dpi", "96")
    assert plan(user, 7, "/run/x").arguments == [
        *user, "-fbdir", "/run/x", "-noreset", "-displayfd", "7",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("user", "left_out"),
    [
        (("-screen", "0", "800x600x24"), "-screen"),
        (("-screen", "0", "800x600x24+32"), "-screen"),
        (("-fbdir", "/elsewhere"), "-fbdir"),
        (("-shmem",), "-fbdir"),
        (("-noreset",), "-noreset"),
        (("-reset",), "-noreset"),
        (("-terminate",), "-noreset"),
    ],
)
def test_choice_of_the_user_is_kept(user: tuple[str, ...], left_out: str) -> None:
    assert not any(line.startswith(left_out) for line in added(*user))


@pytest.mark.parametrize(
    ("user", "words"),
    [
        (("-displayfd", "3"), "kju info"),
        (("-help",), "Run Xvfb itself"),
        (("-fbdir", "/x", "-shmem"), "one of them"),
        (("-screen", "0", "800x600x16"), "use -screen 0 800x600x24"),
        (("-screen", "0", "800x600x8+32"), "use -screen 0 800x600x24"),
    ],
)
def test_contradiction_is_rejected(user: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConflictError, match=words):
        plan(user, 7, "/run/x")


def test_other_screens_are_noted_as_not_shown() -> None:
    assert "screen 1" in plan(("-screen", "1", "800x600x16"), 7, "/run/x").notes[0]


@pytest.mark.parametrize(
    "user", [("-screen",), ("-screen", "0"), ("-screen", "0", "nonsense"), ("-screen", "0", "1x2")]
)
def test_invalid_arguments_are_left_to_xvfb(user: tuple[str, ...]) -> None:
    assert plan(user, 7, "/run/x").arguments[: len(user)] == list(user)
