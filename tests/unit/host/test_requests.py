"""The table of requests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest

from kju.errors import RoleError
from kju.host.requests import REQUESTS, answer, answer_at_once
from kju.protocol import messages
from kju.protocol.dry_run import DryRun
from kju.protocol.forks import Begin, Freeze, RemoveBase, Revert
from kju.protocol.framing import HostSide, pack
from kju.protocol.launch_options import Detach, Launch
from kju.protocol.leases import Renew
from kju.protocol.snapshots import ChangeSnapshot
from kju.protocol.stepping import StepGuest
from kju.protocol.values import Role

CONTROL_ONLY = [
    messages.GetLive(),
    messages.Keys(steps=[(1, True)]),
    messages.Point(actions=[]),
    messages.HoldPublishing(),
    messages.Stop(),
    messages.Power(how="reset"),
    messages.Execute(command="stop"),
    ChangeSnapshot(how="save", tag="a"),
    StepGuest(microseconds=1000),
    Freeze(tag="a"),
    RemoveBase(tag="a"),
    Revert(),
    Begin(),
    Detach(),
    Renew(holder="a", generation=1, until=0.0),
    messages.ChangeCd(),
    messages.Resize(width=800, height=600),
]


def client(role: Role) -> SimpleNamespace:
    side = HostSide()
    side.receive_data(pack(messages.Hello(role=role), 1))
    return SimpleNamespace(side=side)


def test_table_has_every_request_except_cancel() -> None:
    assert set(REQUESTS) == set(get_args(messages.AnyRequest)) - {messages.Cancel}


@pytest.mark.parametrize("request_", CONTROL_ONLY)
async def test_view_role_is_enforced(request_: messages.AnyRequest) -> None:
    with pytest.raises(RoleError, match="attach with role='control'"):
        await answer(None, client("view"), request_)
    with pytest.raises(RoleError):
        answer_at_once(None, client("view"), request_)


def test_viewer_may_send_every_other_request() -> None:
    allowed = {request for request, entry in REQUESTS.items() if "view" in entry.roles}
    denied = {Launch, DryRun, *map(type, CONTROL_ONLY)}
    assert allowed == set(REQUESTS) - denied
    assert all("control" in entry.roles for entry in REQUESTS.values())
