"""The user's choices for all windows, in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.wait import until

from kju.viewers.input.grab import GrabPolicy
from kju.viewers.preferences import FILE, MAX_CHORDS, PreferenceFile, Preferences, decode

SOME = Preferences(GrabPolicy.HOVER, ("alt-tab",), ("ctrl-alt-f2",))


def seen(folder: Path) -> tuple[PreferenceFile, list[Preferences]]:
    file, got = PreferenceFile(folder), []
    file.subscribe(got.append)
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
    file.subscribe(second.append)
    file.change(SOME)
    assert first[-1] == second[-1] == SOME
    file.unsubscribe(second.append)
    file.change(Preferences())
    assert second[-1] == SOME
    file.flush()


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"grab": "always"}', b'{"chords": 3}', b"\xff\xfe", b"{" * 100_000]
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


def test_folder_that_cannot_be_made_costs_nothing_else(tmp_path: Path):
    (tmp_path / "file").write_text("")
    file, got = seen(tmp_path / "file" / "kju")
    file.change(SOME)
    file.flush()
    assert got[-1] == SOME


def test_newest_chords_are_kept():
    kept = Preferences()
    for n in range(1, 13):
        kept = kept.with_chord(f"ctrl-f{n}")
    kept = kept.with_chord("ctrl-f3").with_chord("alt-x")
    assert kept.chords[:2] == ("alt-x", "ctrl-f3")
    assert len(kept.chords) == MAX_CHORDS
    assert kept.without_chord("alt-x").chords[0] == "ctrl-f3"
