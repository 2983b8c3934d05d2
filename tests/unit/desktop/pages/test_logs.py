"""The last events of each machine."""

from __future__ import annotations

from kju.client.requests import Event
from kju.desktop.machines.entry import MachineKey
from kju.desktop.pages.logs import MAX_EVENT_LINE, MAX_EVENTS, MAX_MACHINES, EventLog, event_line

WEB = MachineKey("", "web")


def event(number: int, name: str = "paused", **data: object) -> Event:
    return Event(number, 1000.0 + number, name, data)


def test_an_event_is_kept_once_although_it_is_repeated() -> None:
    log = EventLog()
    assert log.add(WEB, event(1))
    assert log.add(WEB, event(2))
    assert not log.add(WEB, event(1))
    assert [each.sequence for each in log.last(WEB)] == [1, 2]


def test_events_and_machines_are_bounded() -> None:
    log = EventLog()
    for number in range(MAX_EVENTS + 10):
        log.add(WEB, event(number))
    assert len(log.last(WEB)) == MAX_EVENTS
    assert [each.sequence for each in log.last(WEB, 1)] == [MAX_EVENTS + 9]
    for number in range(MAX_MACHINES):
        log.add(MachineKey("", f"m{number}"), event(1))
    assert not log.last(WEB)


def test_a_line_is_short_and_printable() -> None:
    line = event_line(event(1, "disk-error", reason="\x1b]0;\u202e" + "x" * 1000, action=""))
    assert line.isprintable()
    assert len(line) <= MAX_EVENT_LINE * 10
    assert "disk error: reason " in line
    assert "action" not in line
