"""Commands to the machine of a view, and the reasons why one cannot be given now. I/O-free."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from .contract import Status, ViewState


class MachineCommand(Enum):
    """A command to a machine; the value is the word for a user."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    RESET = "reset"
    POWER = "press the power button of"
    STOP = "shut down"
    END = "end"
    SNAPSHOT = "save a snapshot of"

    @property
    def pending(self) -> str:
        """The command while it is under way."""
        return _PENDING[self]


_PENDING = {
    MachineCommand.START: "starting",
    MachineCommand.PAUSE: "pausing",
    MachineCommand.RESUME: "resuming",
    MachineCommand.RESET: "resetting",
    MachineCommand.POWER: "pressing the power button",
    MachineCommand.STOP: "shutting down",
    MachineCommand.END: "ending",
    MachineCommand.SNAPSHOT: "saving the snapshot",
}
# Only an emulator with a guest can do these: QEMU. An X server and a mirror have no processors.
_NEEDS_GUEST = {
    MachineCommand.PAUSE,
    MachineCommand.RESUME,
    MachineCommand.RESET,
    MachineCommand.POWER,
    MachineCommand.SNAPSHOT,
}


class ControlState(NamedTuple):
    """State of the commands of one machine.

    Attributes:
        pending: The command under way as a user reads it, the newest one; empty for none.
        power_pressed: The power button was pressed, and the machine still runs.
        startable: The machine has ended and has a definition.
        power_refusal: Why the guest cannot receive the power button that was pressed; empty before
            that, and after the next command.
    """

    pending: str = ""
    power_pressed: bool = False
    startable: bool = False
    power_refusal: str = ""


def refusal(command: MachineCommand, status: Status, startable: bool) -> str:
    """Return the reason why a command cannot be given now; empty where it can.

    Args:
        command: The command.
        status: The view's status.
        startable: The machine has ended and has a definition.
    """
    name, state = status.name, status.state
    if command is MachineCommand.START:
        if state is not ViewState.ENDED:
            return f"{name} is running"
        return "" if startable else f"{name} has no definition; start it as it was started before"
    if state is ViewState.ENDED:
        return f"{name} is not running"
    if state is ViewState.CONNECTING:
        return f"not connected to {name} yet"
    if status.view_only:
        return "this window is view only"
    if command in _NEEDS_GUEST and status.kind not in ("", "qemu"):
        return f"a machine of kind {status.kind} has no processors of its own"
    if command is MachineCommand.PAUSE and state is ViewState.PAUSED:
        return f"{name} is paused"
    if command is MachineCommand.RESUME and state is not ViewState.PAUSED:
        return f"{name} is not paused"
    return ""
