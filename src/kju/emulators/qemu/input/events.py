"""Input events in the form of QMP's input-send-event. I/O-free.

Source:
    InputEvent in QEMU's qapi/ui.json; `qmp_input_send_event` in its ui/input.c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from ....keys import Step, to_qcode

Event = dict[str, Any]

#: The release of a key that no keyboard has.
NO_KEY: Event = {
    "type": "key",
    "data": {"down": False, "key": {"type": "qcode", "data": "unmapped"}},
}
#: The same by its number: QEMU ends a report after it.
_END_OF_REPORT: Event = {
    "type": "key",
    "data": {"down": False, "key": {"type": "number", "data": 0}},
}


def key(number: int, down: bool) -> Event:
    """Return the press or release of a key, by the key's name.

    QEMU queues key numbers behind the delays of another client's keys (QMP's send-key, VNC), and
    then sends the whole queue at once: more than the keyboard has room for. It does not queue
    names.
    """
    name = to_qcode(number)
    code = {"type": "qcode", "data": name} if name else {"type": "number", "data": number}
    return {"type": "key", "data": {"key": code, "down": down}}


def keys(steps: Sequence[Step], *, reports: bool) -> list[Event]:
    """Return the presses and releases of keys, for one command.

    Args:
        steps: Pairs of a key number and a flag: True presses the key, False releases it.
        reports: Make each step a report of its own. A virtio keyboard collects the named keys of
            one command in one report. In it a guest may miss the press and release of one key.
    """
    found = [key(*step) for step in steps]
    if not reports:
        return found
    return [event for one in found for event in (one, _END_OF_REPORT)][:-1]


def axis(kind: Literal["abs", "rel"], name: Literal["x", "y"], value: int) -> Event:
    """Return a position on an axis, or a movement along it."""
    return {"type": kind, "data": {"axis": name, "value": value}}


def button(name: str, down: bool) -> Event:
    """Return the press or release of a button; a notch of the wheel is a press and a release."""
    return {"type": "btn", "data": {"button": name, "down": down}}


def touch(
    kind: Literal["begin", "update", "data", "end"],
    slot: int,
    name: Literal["x", "y"] = "x",
    value: int = 0,
) -> Event:
    """Return the touch, the position on an axis, or the lift of a finger."""
    tracking = -1 if kind == "end" else slot
    where = {"axis": name, "value": value}
    return {"type": "mtt", "data": {"type": kind, "slot": slot, "tracking-id": tracking, **where}}
