"""The badge over a view's picture: the pending step, or why the picture is not live. I/O-free."""

from __future__ import annotations

from typing import NamedTuple

from .contract import Status, ViewState
from .machine_commands import ControlState, MachineCommand


class Badge(NamedTuple):
    """A badge.

    Attributes:
        text: Its whole text; the view elides it.
        icon: Name of an icon.
        command: Command of its button; None for no button.
        label: The button's text.
        centred: It stands in the middle; else at the top left.
    """

    text: str
    icon: str
    command: MachineCommand | None = None
    label: str = ""
    centred: bool = False


def badge_of(status: Status, control: ControlState, has_picture: bool) -> Badge | None:
    """Return the badge of a view; None where the picture is live and nothing is awaited.

    Args:
        status: The view's.
        control: The commands'.
        has_picture: There is a picture, though it may be an old one.
    """
    if status.state is ViewState.ENDED:
        return _ended(status, control)
    if control.power_pressed and not status.view_only:
        text = "power button pressed: waiting for the guest to shut down"
        return Badge(text, "power", MachineCommand.END, "End now")
    if control.power_refusal and not status.view_only:
        return Badge(control.power_refusal, "warning", MachineCommand.END, "End now")
    if control.pending:
        return Badge(control.pending, "wait")
    match status.state:
        case ViewState.CONNECTING:
            return Badge(f"connecting to {status.name}", "wait", centred=not has_picture)
        case ViewState.PAUSED:
            command = None if status.view_only else MachineCommand.RESUME
            return Badge(status.message or "paused", "pause", command, "Resume")
        case ViewState.NO_PICTURE:
            stale = has_picture and "stale" in status.message
            icon = "disconnected" if stale else "no-picture"
            return Badge(status.message, icon, centred=not has_picture)
    return None


def _ended(status: Status, control: ControlState) -> Badge:
    if control.pending:
        return Badge(f"{control.pending} {status.name}", "wait", centred=True)
    if control.startable:
        return Badge(status.message, "off", MachineCommand.START, "Start", centred=True)
    return Badge(status.message, "off")
