"""One machine as the app shows it. I/O-free."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


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
