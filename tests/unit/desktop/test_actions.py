"""Actions on machines: which apply, what is asked, and the results in words."""

from __future__ import annotations

import re
import threading

import pytest
from support.wait import until

from kju.desktop.actions import (
    Action,
    ActionOptions,
    ActionRun,
    ActionRunner,
    applicable,
    confirmation,
    proposed_clone_name,
    proposed_tag,
    refusal,
)
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.errors import QemuError
from kju.protocol.values import TAG


def entry(
    name: str = "web", state: MachineState = MachineState.RUNNING, *, host: str = "",
    defined: bool = True,
) -> MachineEntry:  # fmt: skip
    return MachineEntry(MachineKey(host, name), state, defined=defined)


@pytest.mark.parametrize(
    ("state", "possible"),
    [
        (MachineState.RUNNING, {"PAUSE", "RESET", "POWER", "STOP", "END", "SNAPSHOT"}),
        (MachineState.PAUSED, {"RESUME", "RESET", "POWER", "STOP", "END", "SNAPSHOT"}),
        (MachineState.STARTING, {"END"}),
        (MachineState.OFF, {"START", "CLONE", "REMOVE"}),
        (MachineState.ENDED, {"START", "CLONE", "REMOVE"}),
        (MachineState.SILENT, {"END"}),
        (MachineState.UNREACHABLE, set()),
    ],
)
def test_actions_follow_the_state(state: MachineState, possible: set[str]) -> None:
    assert {each.name for each in Action if not refusal(each, entry(state=state))} == possible


def test_a_machine_without_a_definition_is_not_started_cloned_or_removed() -> None:
    ended = entry(state=MachineState.ENDED, defined=False)
    for action in (Action.START, Action.CLONE, Action.REMOVE):
        assert "has no definition" in refusal(action, ended)


def test_a_machine_of_another_computer_takes_no_action() -> None:
    remote = entry(host="host1:7447")
    assert all("another computer" in refusal(action, remote) for action in Action)


def test_an_action_is_for_the_machines_that_it_applies_to() -> None:
    entries = [entry("a"), entry("b", MachineState.OFF), entry("c", MachineState.PAUSED)]
    assert [each.name for each in applicable(Action.STOP, entries)] == ["a", "c"]


def test_one_machine_is_asked_about_where_something_is_lost() -> None:
    asked = {action for action in Action if confirmation(action, [entry()])}
    assert asked == {Action.RESET, Action.END, Action.REMOVE}
    assert "not saved" in confirmation(Action.RESET, [entry()])


def test_several_machines_are_named_before_they_are_stopped() -> None:
    many = [entry(f"m{number}") for number in range(10)]
    text = confirmation(Action.STOP, many)
    assert "m0, m1" in text
    assert "and 2 more" in text
    assert not confirmation(Action.PAUSE, many)


def test_proposed_names_are_free_and_valid() -> None:
    assert proposed_clone_name("web", []) == "web-2"
    assert proposed_clone_name("web-2", ["web-3"]) == "web-4"
    long = proposed_clone_name("x" * 64, [])
    assert len(long) == 63 + 1
    assert long.endswith("-2")
    assert re.search(TAG, proposed_tag())


class Results:
    """The states of runs, as a window gets them."""

    def __init__(self) -> None:
        self.states: list[ActionRun] = []

    def __call__(self, run: ActionRun) -> None:
        self.states.append(run)

    def last(self) -> ActionRun:
        until(lambda: self.states and self.states[-1].finished)
        return self.states[-1]


def keys(*names: str) -> list[MachineKey]:
    return [MachineKey("", name) for name in names]


def test_the_summary_counts_and_names_failures() -> None:
    def perform(action: Action, name: str, options: ActionOptions) -> str:
        if name == "web":
            raise QemuError("the disk is full")
        return ""

    results = Results()
    ActionRunner(results, perform).run(Action.STOP, keys("a", "b", "web"))
    assert results.last().summary == "2 of 3 stopped; web: the disk is full"


def test_a_success_has_a_short_summary_and_its_note() -> None:
    results = Results()
    runner = ActionRunner(results, lambda action, name, options: "")
    runner.run(Action.PAUSE, keys("a"))
    assert results.last().summary == "a paused"
    results.states.clear()
    runner.run(Action.PAUSE, keys("a", "b", "b"))
    assert results.last().summary == "2 machines paused"
    results.states.clear()
    ActionRunner(results, lambda *_: "its guest ignored it").run(Action.STOP, keys("a"))
    assert results.last().summary == "a stopped; a: its guest ignored it"


def test_texts_of_hosts_are_escaped_in_a_summary() -> None:
    def perform(action: Action, name: str, options: ActionOptions) -> str:
        raise QemuError("bad\x1b[31m\nline \u202e right")

    results = Results()
    ActionRunner(results, perform).run(Action.RESET, keys("a"))
    assert results.last().summary.isprintable()
    assert "\\x1b" in results.last().summary


def test_an_unexpected_error_ends_the_run_as_a_failure() -> None:
    def perform(action: Action, name: str, options: ActionOptions) -> str:
        raise RuntimeError("a bug")

    results = Results()
    ActionRunner(results, perform).run(Action.RESET, keys("a", "b"))
    run = results.last()
    assert run.finished
    assert run.failures[MachineKey("", "a")] == "RuntimeError: a bug"


def test_end_now_passes_a_stop_that_waits() -> None:
    waiting, ended = threading.Event(), threading.Event()

    def perform(action: Action, name: str, options: ActionOptions) -> str:
        if action is Action.STOP:
            waiting.set()
            ended.wait()
        else:
            ended.set()
        return ""

    results = Results()
    runner = ActionRunner(results, perform)
    runner.run(Action.STOP, keys("web"))
    assert waiting.wait(60)
    runner.run(Action.END, keys("web"))
    until(lambda: len(results.states) == 2)
    assert {run.action for run in results.states} == {Action.STOP, Action.END}


def test_removals_run_one_after_the_other_in_the_given_order() -> None:
    order: list[str] = []

    def perform(action: Action, name: str, options: ActionOptions) -> str:
        order.append(name)
        return ""

    results = Results()
    names = [f"m{number}" for number in range(20)]
    ActionRunner(results, perform).run(Action.REMOVE, keys(*names))
    results.last()
    assert order == names


def test_a_closed_runner_reports_machines_that_it_does_not_act_on() -> None:
    results = Results()
    runner = ActionRunner(results, lambda *_: "")
    runner.close()
    runner.run(Action.PAUSE, keys("a"))
    assert results.last().failures
