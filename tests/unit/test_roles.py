"""Roles of clients and viewers."""

from __future__ import annotations

import pytest

from kju.roles import ROLES, Role, granted, may_send_input


@pytest.mark.parametrize("held", ROLES)
@pytest.mark.parametrize("wanted", ROLES)
def test_a_user_gets_control_only_with_that_role_and_wish(held: Role, wanted: Role) -> None:
    role = granted(held, wanted)
    assert may_send_input(role) is (may_send_input(held) and may_send_input(wanted))


def test_only_control_may_send_input() -> None:
    assert [role for role in ROLES if may_send_input(role)] == ["control"]
