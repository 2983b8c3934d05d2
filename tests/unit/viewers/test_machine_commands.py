"""Commands that a machine's state allows."""

from __future__ import annotations

import pytest

from kju.viewers.contract import Status, ViewState
from kju.viewers.machine_commands import MachineCommand, refusal

LIVE = Status("web", state=ViewState.LIVE, kind="qemu")


@pytest.mark.parametrize(
    ("status", "possible"),
    [
        (LIVE, "PAUSE RESET POWER STOP END SNAPSHOT"),
        (LIVE._replace(state=ViewState.PAUSED), "RESUME RESET POWER STOP END SNAPSHOT"),
        (LIVE._replace(state=ViewState.CONNECTING), ""),
        (LIVE._replace(state=ViewState.ENDED), ""),
        (LIVE._replace(view_only=True), ""),
        (LIVE._replace(kind="xvfb"), "STOP END"),
        (LIVE._replace(kind="mirror"), "STOP END"),
    ],
)
def test_commands_follow_the_machines_state(status, possible):
    found = {one.name for one in MachineCommand if not refusal(one, status, startable=False)}
    assert found == set(possible.split())


def test_ended_machine_is_started_where_it_has_a_definition():
    ended = LIVE._replace(state=ViewState.ENDED)
    assert refusal(MachineCommand.START, ended, startable=True) == ""
    assert "has no definition" in refusal(MachineCommand.START, ended, startable=False)
    assert refusal(MachineCommand.START, LIVE, startable=True) == "web is running"


def test_every_command_has_words_for_the_time_it_is_under_way():
    assert all(command.pending for command in MachineCommand)
