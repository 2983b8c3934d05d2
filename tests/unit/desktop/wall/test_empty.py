"""Texts of an empty wall."""

from __future__ import annotations

from kju.desktop.wall.empty import EmptyAction, Setup, no_machines, nothing_found, setup_of
from kju.desktop.wall.search import Filter

GOOD = [
    {"check": "qemu", "passed": True, "details": "/usr/bin/qemu-system-x86_64"},
    {"check": "kvm", "passed": True, "details": "works"},
]


def test_good_setup_offers_a_new_machine_and_the_sample_guest():
    state = no_machines(setup_of(GOOD))
    assert state.actions == (EmptyAction.NEW, EmptyAction.SAMPLE)
    assert "slow" not in state.text


def test_missing_qemu_shows_the_command_that_installs_it():
    details = "no QEMU was found on PATH; install it with: apt install qemu-system-x86"
    state = no_machines(setup_of([{"check": "qemu", "passed": False, "details": details}]))
    assert state.command == "apt install qemu-system-x86"
    assert state.text == "no QEMU was found on PATH; install it with:"
    assert state.actions == (EmptyAction.CHECK,)


def test_fault_without_a_command_is_shown_whole():
    state = no_machines(Setup("folder: it belongs to another user", known=True))
    assert (state.text, state.command) == ("folder: it belongs to another user", "")


def test_missing_kvm_says_why_guests_are_slow():
    kvm = {"check": "kvm", "passed": None, "details": "/dev/kvm cannot be opened"}
    assert "/dev/kvm cannot be opened" in no_machines(setup_of([GOOD[0], kvm])).text


def test_search_without_result_names_query_and_filter():
    state = nothing_found(" web\x1b ", Filter.RUNNING)
    assert "web\\x1b" in state.title
    assert "Running" in state.title
    assert state.actions == (EmptyAction.SHOW_ALL,)
    assert "Problems" in nothing_found("", Filter.PROBLEMS).title


def test_findings_that_are_odd_count_as_no_fault():
    assert setup_of([{}, {"check": "qemu"}, {"check": 5, "passed": False}]) == Setup(known=True)
