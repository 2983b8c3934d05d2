"""Words about a machine, for tiles, tooltips and screen readers. I/O-free.

Every text is one line and safe to draw: texts of guests, QEMU and peers are escaped here.
"""

from __future__ import annotations

import re
from datetime import datetime

from ...escaping import one_line
from .entry import MachineEntry, duration_text

#: Characters of a reason or a name of a program.
_MAX_TEXT = 200
#: A host's numbers for a client, which would fill the line of a tile.
_CLIENT_NUMBERS = re.compile(r" \(connection \d+, process \d+\)")


def name_text(entry: MachineEntry) -> str:
    """Return a machine's name, with its host where that is another computer."""
    name = one_line(entry.name, _MAX_TEXT)
    if entry.name == entry.key.host:
        return name  # the place of an address without machines
    return name if entry.is_local else f"{name} on {one_line(entry.key.host, _MAX_TEXT)}"


def state_text(entry: MachineEntry, now: float) -> str:
    """Return the state and how long it has lasted.

    Args:
        entry: The machine.
        now: Seconds since the epoch.
    """
    parts = [entry.state.value]
    if entry.state.runs and entry.started is not None:
        parts.append(duration_text(now - entry.started))
    if entry.round_trip is not None:
        parts.append(f"{entry.round_trip * 1000:.0f} ms away")
    if entry.next_try is not None:
        parts.append(f"next try {datetime.fromtimestamp(entry.next_try):%H:%M:%S}")
    return " \N{MIDDLE DOT} ".join(parts)


def note_text(entry: MachineEntry) -> str:
    """Return the most important further fact: a warning, a reason, who uses it, its labels."""
    if entry.warnings:
        return one_line(entry.warnings[-1], _MAX_TEXT)
    if entry.reason:
        return one_line(_CLIENT_NUMBERS.sub("", entry.reason), _MAX_TEXT)
    if used := _users_text(entry):
        return used
    return ", ".join(one_line(label, _MAX_TEXT) for label in entry.labels)


def _users_text(entry: MachineEntry) -> str:
    parts = []
    if entry.controllers:
        parts.append(f"{_names(entry.controllers)} can control")
    if entry.viewers:
        parts.append(f"{_names(entry.viewers)} looks")
    return ", ".join(parts)


def _names(names: tuple[str, ...]) -> str:
    """Return the names of programs; equal ones once, with their number."""
    counted = {name: names.count(name) for name in names}
    words = [
        one_line(name or "a program", _MAX_TEXT) + (f" \N{MULTIPLICATION SIGN}{n}" if n > 1 else "")
        for name, n in counted.items()
    ]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def tooltip_lines(entry: MachineEntry, now: float) -> list[str]:
    """Return everything that is known of a machine, a line for each fact."""
    lines = [name_text(entry), state_text(entry, now)]
    if entry.reason:
        lines.append(one_line(entry.reason, 4 * _MAX_TEXT))
    lines += [one_line(warning, 4 * _MAX_TEXT) for warning in entry.warnings]
    if used := _users_text(entry):
        lines.append(used)
    if entry.labels:
        lines.append("labels: " + ", ".join(one_line(label, _MAX_TEXT) for label in entry.labels))
    return lines


def spoken_text(entry: MachineEntry, now: float) -> str:
    """Return a machine's description for a screen reader."""
    return ", ".join(tooltip_lines(entry, now))
