"""The roles of clients and viewers: one definition for the local protocol and the network.

A `view` client sees a machine; a `control` client also drives it. The protocol's request table says
which requests need `control`; a sender on the network asks `may_send_input`.
"""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["view", "control"]
ROLES: tuple[Role, ...] = get_args(Role)


def granted(held: Role, wanted: Role) -> Role:
    """Return the role that a user who holds one role gets after asking for another."""
    return "control" if held == wanted == "control" else "view"


def may_send_input(role: Role) -> bool:
    """Return whether a role may send keys and pointer input."""
    return role == "control"
