"""`kju events` leaves out the short visits of kju commands."""

from __future__ import annotations

import os

from kju.cli.machines.status import without_visits
from kju.client.requests import Event, client_name


def came(number: int, time: float, client: int, name: str = "kju", pid: int = 1) -> Event:
    return Event(number, time, "client-connected", {"client": client, "name": name, "pid": pid})


def went(number: int, time: float, client: int, name: str = "kju") -> Event:
    return Event(number, time, "client-disconnected", {"client": client, "name": name})


def shown(*events: Event) -> list[int]:
    return [event.sequence for event in without_visits(events)]


def test_a_short_visit_is_left_out() -> None:
    reset = Event(3, 0.2, "reset", {})
    assert shown(came(1, 0.0, 7), came(2, 0.1, 8), reset, went(4, 0.3, 7), went(5, 0.3, 8)) == [3]


def test_this_commands_own_visit_is_left_out() -> None:
    assert shown(came(1, 0.0, 7, client_name(), os.getpid())) == []


def test_a_command_that_stays_is_shown() -> None:
    late = 60.0
    assert shown(came(1, 0.0, 7), Event(2, late, "reset", {}), went(3, late, 7)) == [1, 2, 3]
    assert shown(came(1, 0.0, 7)) == [1]


def test_other_programs_are_shown() -> None:
    assert shown(came(1, 0.0, 7, "robot"), went(2, 0.1, 7, "robot")) == [1, 2]
