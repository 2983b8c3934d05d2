"""Machines of other computers as entries."""

from __future__ import annotations

import random

import pytest

from kju.desktop.machines.entry import MachineKey, MachineState
from kju.desktop.machines.remote_machines import (
    MAX_SCREENS,
    served,
    unreachable,
    with_known,
)

HOST = "host1:7447"


def test_served_screens_run_and_have_a_round_trip() -> None:
    found = served(HOST, ["kju/up/lab/web", "kju/up/lab/db"], 0.01234)
    assert [entry.key for entry in found] == [
        MachineKey(HOST, "lab/db"),
        MachineKey(HOST, "lab/web"),
    ]
    assert {entry.state for entry in found} == {MachineState.RUNNING}
    assert {entry.round_trip for entry in found} == {0.012}


@pytest.mark.parametrize(
    "name",
    [
        "x" * 255,
        "a/" * 9 + "b",
        "\u202egnp.exe",
        "<b>bold</b>",
        "a b",
        "",
        "..",
        "a//b",
        "a\nb",
        "&x",
    ],
)
def test_a_name_that_is_no_screens_is_dropped(name: str) -> None:
    assert served(HOST, [f"kju/up/{name}", f"kju/to/{name}", name], 0.1) == []


def test_a_sender_of_ten_thousand_machines_is_bounded_and_says_so() -> None:
    keys = [f"kju/up/lab/m{number}" for number in range(10_000)]
    random.Random(7).shuffle(keys)
    found = served(HOST, keys, 0.1)
    assert len(found) == MAX_SCREENS
    assert "more than" in found[0].warnings[0]


def test_an_address_that_cannot_be_reached_keeps_its_machines() -> None:
    known = served(HOST, ["kju/up/lab/web"], 0.1)
    entry = unreachable(HOST, known, "connection refused\n\x1b[2J", 12.5)[0]
    assert entry.key == MachineKey(HOST, "lab/web")
    assert entry.state is MachineState.UNREACHABLE
    assert entry.next_try == 12.5
    assert entry.round_trip is None
    assert entry.reason.isprintable()


def test_an_address_that_never_answered_is_visible() -> None:
    assert unreachable(HOST, [], "no answer", 1.0)[0].key == MachineKey(HOST, HOST)


def test_an_incomplete_answer_keeps_the_machines_that_are_known() -> None:
    known = unreachable(HOST, served(HOST, ["kju/up/lab/a", "kju/up/lab/b"], 0.1), "lost", 1.0)
    found = served(HOST, ["kju/up/lab/b"], 0.2)
    assert with_known(found, known) == [found[0], known[0]]
    assert with_known([], known) == known
    full = served(HOST, [f"kju/up/lab/m{number}" for number in range(MAX_SCREENS)], 0.1)
    assert with_known(full, known) == full


def test_a_first_machine_replaces_the_entry_of_the_address() -> None:
    known = unreachable(HOST, [], "no answer", 1.0)
    found = served(HOST, ["kju/up/lab/web"], 0.1)
    assert with_known(found, known) == found
    assert with_known([], known) == known
