"""Facts about a running machine, from its info and events."""

from __future__ import annotations

from typing import Any

import pytest

from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.machines.facts import MAX_CLIENTS, MachineFacts

OWN = 77


def facts(**info: Any) -> MachineFacts:
    found = MachineFacts(OWN)
    found.take_info({"state": "running", "started": 5.0, "consoles": [{}], "clients": [], **info})
    return found


def entry(found: MachineFacts) -> MachineEntry:
    return found.entry(MachineKey("", "web"), labels=("lab",), defined=True)


def client(number: int, role: str, name: str = "tool", pid: int = 1) -> dict[str, Any]:
    return {"client": number, "pid": pid, "name": name, "role": role}


def test_entry_has_the_facts_of_the_info():
    found = entry(facts(clients=[client(1, "view"), client(2, "control", "python")]))
    assert found.state is MachineState.RUNNING
    assert (found.started, found.screens, found.labels, found.defined) == (5.0, 1, ("lab",), True)
    assert (found.viewers, found.controllers) == (("tool",), ("python",))


def test_own_connections_are_not_listed():
    found = facts(clients=[client(1, "view", pid=OWN)])
    found.take_event("client-connected", client(2, "control", pid=OWN))
    assert entry(found).viewers == entry(found).controllers == ()


def test_events_older_than_the_info_do_no_harm():
    found = facts(state="paused", clients=[client(3, "view")])
    history = [
        ("client-connected", client(2, "view", "gone")),
        ("client-connected", client(3, "view")),
        ("client-disconnected", client(2, "view", "gone")),
        ("resumed", {}),
        ("paused", {}),
    ]
    for name, data in history:
        assert found.take_event(name, data)
    assert entry(found).viewers == ("tool",)
    assert entry(found).state is MachineState.PAUSED


def test_disk_error_is_a_warning_until_the_guest_runs_again():
    found = facts()
    found.take_event("disk-error", {"operation": "write", "device": "disk0", "full": True})
    assert entry(found).warnings == ("write error on disk0: the computer's disk is full",)
    found.take_event("resumed", {})
    assert entry(found).warnings == ()


@pytest.mark.parametrize("event", ["reset", "snapshot-loaded"])
def test_panic_is_a_warning_until_the_guest_begins_anew(event: str):
    found = facts()
    found.take_event("panicked", {"action": "pause", "info": "code 3"})
    assert entry(found).warnings == ("the guest's system has crashed: code 3",)
    found.take_event(event, {})
    assert entry(found).warnings == ()


def test_mirror_without_a_link_is_unreachable_and_says_why():
    found = facts(mirror={"up": True})
    found.take_event("link", {"up": False, "reason": "timeout"})
    assert (entry(found).state, entry(found).reason) == (MachineState.UNREACHABLE, "timeout")
    found.take_event("link", {"up": True, "reason": ""})
    assert entry(found).state is MachineState.RUNNING


def test_ending_has_the_reason_and_whether_it_failed():
    found = facts()
    found.take_event("ending", {"reason": "QEMU was killed", "asked": False})
    assert (found.ending, found.failed) == ("QEMU was killed", True)


def test_unknown_event_changes_nothing():
    found = facts()
    before = entry(found)
    assert not found.take_event("remote-panicked", {"action": "pause"})
    assert entry(found) == before


def test_names_of_programs_are_bounded():
    found = facts(clients=[client(n, "view", f"p{n}") for n in range(1000)])
    assert len(entry(found).viewers) == MAX_CLIENTS


def test_info_of_an_older_host_has_no_numbers_of_clients():
    found = facts(clients=[{"pid": 1, "name": "a", "role": "view"}] * 2)
    assert entry(found).viewers == ("a", "a")
