"""One machine as the app shows it, and the words for tiles, tooltips and screen readers. I/O-free.

Every text that a function returns is one line and safe to draw: texts of guests, QEMU and peers are
escaped here.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from ...escaping import one_line

#: Characters of a reason or a name of a program.
_MAX_TEXT = 200
#: A host's numbers for a client, which would fill the line of a tile.
_CLIENT_NUMBERS = re.compile(r" \(connection \d+, process \d+\)")


class MachineState(Enum):
    """State of a machine; the value is the word that a user reads."""

    RUNNING = "running"
    PAUSED = "paused"
    STARTING = "starting"
    OFF = "off"
    ENDED = "ended"
    #: Its host process exists and does not answer.
    SILENT = "not responding"
    #: Its sender on another computer cannot be reached.
    UNREACHABLE = "unreachable"

    @property
    def runs(self) -> bool:
        """True while an emulator holds the machine's guest."""
        return self in (MachineState.RUNNING, MachineState.PAUSED)


class MachineKey(NamedTuple):
    """Identity of a machine.

    Attributes:
        host: Address of the computer that serves it; empty for this computer.
        name: Its name there.
    """

    host: str
    name: str


class MachineEntry(NamedTuple):
    """Facts about one machine. Texts are as received: escape them before drawing.

    Attributes:
        key: Its identity.
        state: Its state.
        reason: Why it is in this state; may be empty.
        started: Time of its start, in seconds since the epoch; None unless it runs.
        viewers: Other programs of the view role, as the host names them.
        controllers: Other programs of the control role, as the host names them.
        labels: Labels of its definition.
        warnings: Faults of the running machine: an I/O error, a panic.
        defined: It has a definition and can be started.
        screens: Number of its graphic consoles; None while it is unknown.
        round_trip: Seconds to its sender and back; None on this computer.
        next_try: Time of the next attempt to reach it, in seconds since the epoch; None unless
            unreachable.
    """

    key: MachineKey
    state: MachineState
    reason: str = ""
    started: float | None = None
    viewers: tuple[str, ...] = ()
    controllers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    defined: bool = False
    screens: int | None = None
    round_trip: float | None = None
    next_try: float | None = None

    @property
    def name(self) -> str:
        """Its name."""
        return self.key.name

    @property
    def has_console(self) -> bool:
        """True if its screen can be opened here: also while it starts or does not answer."""
        gone = self.state in (MachineState.OFF, MachineState.ENDED)
        return self.is_local and not gone and self.screens != 0

    @property
    def is_local(self) -> bool:
        """True for a machine of this computer."""
        return not self.key.host


def duration_text(seconds: float) -> str:
    """Return a time that a machine has been running, in one or two units."""
    whole = max(0, int(seconds))
    if whole < 60:
        return "under 1 min"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


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
