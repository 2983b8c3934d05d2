"""Words about a machine."""

from __future__ import annotations

from datetime import datetime

import pytest
from support.hostile_text import HOSTILE

from kju.desktop.machines.entry import (
    MachineEntry,
    MachineKey,
    MachineState,
    name_text,
    note_text,
    spoken_text,
    state_text,
    tooltip_lines,
)

RUNNING = MachineEntry(MachineKey("", "web"), MachineState.RUNNING, started=1000.0)


def test_state_has_the_uptime_and_the_round_trip():
    assert state_text(RUNNING, 1000.0 + 180) == "running · 3 min"
    away = RUNNING._replace(started=None, round_trip=0.012)
    assert state_text(away, 0) == "running · 12 ms away"
    assert state_text(RUNNING._replace(state=MachineState.OFF), 5000.0) == "off"


def test_unreachable_machine_has_the_time_of_the_next_attempt():
    entry = MachineEntry(MachineKey("lab:7447", "lab:7447"), MachineState.UNREACHABLE)
    at = datetime(2030, 1, 2, 3, 4, 5).timestamp()
    assert state_text(entry._replace(next_try=at), 0) == "unreachable · next try 03:04:05"
    assert name_text(entry) == "lab:7447"


def test_remote_machine_is_named_with_its_host():
    assert name_text(RUNNING) == "web"
    assert name_text(RUNNING._replace(key=MachineKey("lab:7447", "web"))) == "web on lab:7447"


def test_note_is_the_most_important_fact():
    entry = RUNNING._replace(labels=("shop",), viewers=("kju", "kju"), controllers=("python",))
    assert note_text(entry._replace(viewers=(), controllers=())) == "shop"
    assert note_text(entry) == "python can control, kju \N{MULTIPLICATION SIGN}2 looks"
    assert note_text(entry._replace(reason="the host is stopped")) == "the host is stopped"
    assert note_text(entry._replace(reason="x", warnings=("read error",))) == "read error"


def test_note_of_a_stopped_machine_has_no_numbers_and_its_tooltip_has_them():
    reason = "python (connection 5, process 21715) stopped it"
    entry = RUNNING._replace(state=MachineState.OFF, reason=reason)
    assert note_text(entry) == "python stopped it"
    assert reason in tooltip_lines(entry, 0)


def test_many_programs_are_counted():
    entry = RUNNING._replace(viewers=("a", "b", "c", "d", "e"))
    assert note_text(entry) == "a, b, c and 2 more looks"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_are_escaped(text: str):
    entry = MachineEntry(
        MachineKey(text, text),
        MachineState.SILENT,
        reason=text,
        viewers=(text,),
        labels=(text,),
        warnings=(text,),
        round_trip=0.1,
    )
    for shown in (
        name_text(entry),
        note_text(entry),
        spoken_text(entry, 0),
        *tooltip_lines(entry, 0),
        note_text(entry._replace(warnings=())),
        note_text(entry._replace(warnings=(), reason="")),
        note_text(entry._replace(warnings=(), reason="", viewers=())),
    ):
        assert shown.isprintable()


def test_long_texts_are_bounded():
    assert len(note_text(RUNNING._replace(reason="x" * 100_000))) <= 200
