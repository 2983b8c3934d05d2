"""The user's choices for all windows, in a file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.wait import until

from kju.viewers.input.grab import GrabPolicy
from kju.viewers.preferences import FILE, MAX_CHORDS, PreferenceFile, Preferences, decode

SOME = Preferences(GrabPolicy.HOVER, ("alt-tab",), ("ctrl-alt-f2",))


def seen(folder: Path) -> tuple[PreferenceFile, list[Preferences]]:
    file, got = PreferenceFile(folder), []
    file.subscribe(got.append, pytest.fail)
    return file, got


def test_choice_is_remembered_by_the_next_program(tmp_path: Path):
    first, _ = seen(tmp_path / "state" / "kju")
    first.change(SOME)
    first.flush()
    second, got = seen(tmp_path / "state" / "kju")
    until(lambda: got[-1] == SOME)
    second.flush()
    assert (tmp_path / "state" / "kju" / FILE).stat().st_mode & 0o777 == 0o600


def test_all_windows_follow_a_choice(tmp_path: Path):
    file, first = seen(tmp_path)
    second: list[Preferences] = []
    file.subscribe(second.append, pytest.fail)
    file.change(SOME)
    assert first[-1] == second[-1] == SOME
    file.unsubscribe(second.append)
    file.change(Preferences())
    assert second[-1] == SOME
    file.flush()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'{"grab": "always"}',
        b'{"chords": 3}',
        b"\xff\xfe",
        b'{"chords": ["\xff"]}',
        b"{" * 100_000,
    ],
)
def test_broken_file_counts_as_none_and_is_replaced(tmp_path: Path, text: bytes):
    (tmp_path / FILE).write_bytes(text)
    file, got = seen(tmp_path)
    file.change(SOME)
    file.flush()
    assert got == [Preferences(), SOME]
    assert decode((tmp_path / FILE).read_bytes()) == SOME


def test_invalid_chords_are_left_out():
    text = b'{"desktop_chords": ["alt-tab", "nonsense-x"], "chords": ["", "ctrl-c"], "more": 1}'
    assert decode(text) == Preferences(desktop_chords=("alt-tab",), chords=("ctrl-c",))


def test_folder_that_cannot_be_made_is_reported_and_costs_nothing_else(tmp_path: Path):
    (tmp_path / "file").write_text("")
    file, got, reasons = PreferenceFile(tmp_path / "file" / "kju"), [], []
    file.subscribe(got.append, reasons.append)
    file.change(SOME)
    file.flush()
    assert got[-1] == SOME
    (reason,) = reasons
    assert reason.startswith("the choice is not saved for the next start: ")
    assert str(tmp_path / "file") in reason


def test_newest_chords_are_kept():
    kept = Preferences()
    for n in range(1, 13):
        kept = kept.with_chord(f"ctrl-f{n}")
    kept = kept.with_chord("ctrl-f3").with_chord("alt-x")
    assert kept.chords[:2] == ("alt-x", "ctrl-f3")
    assert len(kept.chords) == MAX_CHORDS
    assert kept.without_chord("alt-x").chords[0] == "ctrl-f3"


def test_choice_just_before_the_end_of_the_process_is_written(tmp_path: Path) -> None:
    program = (
        "from kju.viewers.preferences import Preferences, shared_preferences\n"
        "preferences = shared_preferences()\n"
        "preferences.subscribe(lambda now: None, print)\n"
        "preferences.change(Preferences(chords=('ctrl-alt-f2',)))\n"
    )
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=180)
    assert decode((tmp_path / "kju" / FILE).read_bytes()).chords == ("ctrl-alt-f2",)
