"""Inputs as QMP's input-send-event takes them. I/O-free.

Source:
    InputEvent in QEMU's qapi/ui.json; `qmp_input_send_event` in its ui/input.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ....keys import Step, to_qcode

Event = dict[str, Any]

#: A key that no keyboard has, let go of. By its number QEMU ends a report behind it.
NO_KEY: Event = {
    "type": "key",
    "data": {"down": False, "key": {"type": "qcode", "data": "unmapped"}},
}
END_OF_REPORT: Event = {
    "type": "key",
    "data": {"down": False, "key": {"type": "number", "data": 0}},
}


def key(number: int, down: bool) -> Event:
    """A key goes down or up.

    It is named. QEMU queues a key number behind the delays of another client's keys (those of
    QMP's send-key and of VNC), and gives the guest all that waits at once, more than its keyboard
    has room for.
    """
    name = to_qcode(number)
    code = {"type": "qcode", "data": name} if name else {"type": "number", "data": number}
    return {"type": "key", "data": {"key": code, "down": down}}


def keys(steps: Sequence[Step], *, reports: bool) -> list[Event]:
    """Keys go down or up, in one command.

    Args:
        steps: Which keys, and whether each goes down.
        reports: Each step is a report of its own. A virtio keyboard collects the named keys of one
            command in one report, in which a guest may miss a key that goes down and up.
    """
    found = [key(*step) for step in steps]
    if not reports:
        return found
    return [event for one in found for event in (one, END_OF_REPORT)][:-1]


def axis(kind: Literal["abs", "rel"], name: Literal["x", "y"], value: int) -> Event:
    """A pointer is somewhere on an axis, or moves along it."""
    return {"type": kind, "data": {"axis": name, "value": value}}


def button(name: str, down: bool) -> Event:
    """A button goes down or up; a notch of a wheel is one that does both."""
    return {"type": "btn", "data": {"button": name, "down": down}}


def touch(
    kind: Literal["begin", "update", "data", "end"],
    slot: int,
    name: Literal["x", "y"] = "x",
    value: int = 0,
) -> Event:
    """A finger comes down, is somewhere on an axis, or is lifted."""
    tracking = -1 if kind == "end" else slot
    where = {"axis": name, "value": value}
    return {"type": "mtt", "data": {"type": kind, "slot": slot, "tracking-id": tracking, **where}}
