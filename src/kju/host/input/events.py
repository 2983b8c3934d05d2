"""Inputs as QMP's input-send-event takes them. I/O-free.

Source:
    InputEvent in QEMU's qapi/ui.json.
"""

from __future__ import annotations

from typing import Any, Literal

Event = dict[str, Any]


def key(number: int, down: bool) -> Event:
    """A key goes down or up."""
    return {"type": "key", "data": {"key": {"type": "number", "data": number}, "down": down}}


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
