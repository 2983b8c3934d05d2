"""Entries of machines."""

from __future__ import annotations

import pytest

from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState, duration_text


def test_entry_has_the_name_and_place_of_its_key():
    entry = MachineEntry(MachineKey("lab", "web"), MachineState.OFF)
    assert entry.name == "web"
    assert not entry.is_local
    assert MachineEntry(MachineKey("", "web"), MachineState.OFF).is_local


def test_only_running_and_paused_machines_run():
    assert [s for s in MachineState if s.runs] == [MachineState.RUNNING, MachineState.PAUSED]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "under 1 min"),
        (59.9, "under 1 min"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 0 min"),
        (86400 * 3 + 7200, "3 d 2 h"),
    ],
)
def test_duration_has_at_most_two_units(seconds: float, text: str):
    assert duration_text(seconds) == text
