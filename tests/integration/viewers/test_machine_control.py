"""Commands of a view to its machine, on threads, with work that a test holds back."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest
from support.wait import until

from kju.errors import KjuError, PowerButtonError, QemuError
from kju.store.paths import definitions_folder
from kju.viewers.contract import Status, ViewState
from kju.viewers.machine_commands import ControlState, MachineCommand
from kju.viewers.machine_control import MachineControl

LIVE = Status("web", state=ViewState.LIVE, kind="qemu")


class Control:
    """A control whose commands end when the test says so."""

    def __init__(self, status: Status = LIVE) -> None:
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.notes: list[str] = []
        self.changes = 0
        self.done: list[tuple[str, MachineCommand, str]] = []
        self.result: str | KjuError = ""
        self.go = threading.Event()
        self.control = MachineControl(
            "web", self.posted.put, self.notes.append, self._changed, self._perform
        )
        self.control.set_status(status)

    def _changed(self) -> None:
        self.changes += 1

    def _perform(self, name: str, command: MachineCommand, argument: str) -> str:
        assert self.go.wait(30)
        self.done.append((name, command, argument))
        if isinstance(self.result, KjuError):
            raise self.result
        return self.result

    def finish(self, result: str | KjuError = "") -> None:
        """Let the command end, and take its result as the view's thread does."""
        self.result = result
        self.go.set()
        self.posted.get(timeout=30)()
        self.go.clear()

    @property
    def state(self) -> ControlState:
        return self.control.state


def test_command_runs_off_the_views_thread_and_is_named_meanwhile():
    control = Control()
    control.control.run(MachineCommand.SNAPSHOT, "first")
    assert control.state.pending == "saving the snapshot first"
    control.finish("saved")
    assert control.done == [("web", MachineCommand.SNAPSHOT, "first")]
    assert control.state == ControlState()
    assert control.notes == ["saved"]


def test_command_under_way_is_not_given_again():
    control = Control()
    control.control.run(MachineCommand.RESET)
    control.control.run(MachineCommand.RESET)
    assert control.notes == ["cannot reset web: resetting: under way"]
    control.finish()
    assert len(control.done) == 1


def test_failure_is_said_in_words():
    control = Control()
    control.control.run(MachineCommand.PAUSE)
    control.finish(QemuError("the disk is full", "web"))
    assert control.notes == ["cannot pause web: the disk is full"]
    assert control.state.pending == ""


@pytest.mark.parametrize("command", [MachineCommand.POWER, MachineCommand.STOP])
def test_end_is_offered_from_the_press_of_the_power_button_on(command):
    control = Control()
    control.control.run(command)
    assert control.state.power_pressed, "before the host has answered"
    assert control.control.refusal(MachineCommand.END) == ""
    control.finish()
    assert control.state.power_pressed
    control.control.set_status(Status("web", "ended", state=ViewState.ENDED))
    assert not control.state.power_pressed


def test_guest_that_cannot_receive_the_press_is_offered_the_end():
    control = Control()
    control.control.run(MachineCommand.POWER)
    control.finish(PowerButtonError("ACPI is off; end it with: kju stop --now web"))
    assert not control.state.power_pressed, "nothing was pressed"
    assert control.state.power_refusal == "ACPI is off"
    assert control.notes == [], "the badge says it, with a button in place of the command"
    control.control.run(MachineCommand.POWER)
    assert control.state.power_refusal == ""
    control.finish(QemuError("no answer"))
    assert not control.state.power_pressed and control.state.power_refusal == ""


def test_ended_machine_with_a_definition_can_be_started():
    folder = definitions_folder() / "web"
    folder.mkdir(parents=True)
    (folder / "machine.toml").write_text("")
    control = Control()
    control.control.set_status(Status("web", "ended", state=ViewState.ENDED))
    control.posted.get(timeout=30)()
    assert control.state.startable
    control.control.run(MachineCommand.START)
    assert control.state.pending == "starting"
    control.finish()
    control.control.set_status(LIVE)
    assert control.control.refusal(MachineCommand.START) == "web is running"


def test_name_that_no_machine_can_have_is_not_startable():
    control = Control()
    control.control.name = "zenoh:lab/host/web"
    control.control.set_status(Status("x", "ended", state=ViewState.ENDED))
    control.posted.get(timeout=30)()
    assert not control.state.startable


def test_closed_view_takes_no_results():
    control = Control()
    control.control.run(MachineCommand.PAUSE)
    control.control.close()
    control.finish("too late")
    assert control.notes == []


def test_threads_end_with_their_commands():
    control = Control()
    control.control.run(MachineCommand.PAUSE)
    assert any(thread.name == "kju-pause" for thread in threading.enumerate())
    control.finish()
    until(lambda: not any(thread.name == "kju-pause" for thread in threading.enumerate()))
