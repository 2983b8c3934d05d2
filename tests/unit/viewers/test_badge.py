"""The badge over a picture: its words, its button and its place."""

from __future__ import annotations

import pytest

from kju.viewers.badge import Badge, badge_of
from kju.viewers.contract import Status, ViewState
from kju.viewers.machine_commands import ControlState, MachineCommand


def badge(state: ViewState, message: str = "", has_picture: bool = True, **facts: object) -> Badge:
    control = ControlState(**{k: facts.pop(k) for k in list(facts) if k in ControlState._fields})
    found = badge_of(Status("web", message, state=state, **facts), control, has_picture)
    assert found is not None
    return found


def test_live_picture_has_no_badge():
    assert badge_of(Status("web"), ControlState(), True) is None


def test_paused_machine_offers_to_resume():
    shown = badge(ViewState.PAUSED, "paused")
    assert shown.command is MachineCommand.RESUME
    assert not shown.centred


@pytest.mark.parametrize("state", [ViewState.PAUSED, ViewState.LIVE])
def test_view_without_control_offers_no_command(state):
    found = badge_of(Status("web", "paused", state=ViewState.PAUSED, view_only=True),
                     ControlState(power_pressed=True), True)  # fmt: skip
    assert found is not None
    assert found.command is None


def test_ended_machine_with_a_definition_offers_start_in_the_middle():
    shown = badge(ViewState.ENDED, "the machine 'web' has ended: bye", startable=True)
    assert (shown.command, shown.centred) == (MachineCommand.START, True)
    assert shown.text == "the machine 'web' has ended: bye"


def test_ended_machine_without_a_definition_says_why_in_the_corner():
    shown = badge(ViewState.ENDED, "the machine 'web' has ended: bye")
    assert (shown.command, shown.centred) == (None, False)


def test_start_under_way_is_awaited():
    shown = badge(ViewState.ENDED, "ended", startable=True, pending="starting")
    assert (shown.text, shown.command) == ("starting web", None)


def test_power_button_that_was_not_received_says_why_and_offers_the_end():
    shown = badge(ViewState.LIVE, power_refusal="ACPI is off in the guest")
    assert (shown.text, shown.command) == ("ACPI is off in the guest", MachineCommand.END)
    assert shown.icon == "warning"


def test_pressed_power_button_offers_the_end_at_once():
    shown = badge(ViewState.LIVE, power_pressed=True, pending="shutting down")
    assert shown.command is MachineCommand.END
    assert "waiting for the guest" in shown.text


def test_command_under_way_is_named():
    assert badge(ViewState.LIVE, pending="saving the snapshot a").text == "saving the snapshot a"


@pytest.mark.parametrize("has_picture", [True, False])
def test_badge_stands_in_the_corner_of_a_picture(has_picture):
    assert badge(ViewState.CONNECTING, has_picture=has_picture).centred is not has_picture
    shown = badge(ViewState.NO_PICTURE, "no picture: off", has_picture=has_picture)
    assert shown.centred is not has_picture


def test_stale_mirror_is_marked_as_disconnected():
    shown = badge(ViewState.NO_PICTURE, "no picture: stale since 12:00:00: timeout")
    assert shown.icon == "disconnected"
