"""The icons of machines' states, from the windows' one set of icons."""

from __future__ import annotations

import functools

from PySide6.QtGui import QColor, QIcon

from ....viewers.qt import icons
from ...machines.entry import MachineState

_NAMES = {
    MachineState.RUNNING: "start",
    MachineState.PAUSED: "pause",
    MachineState.STARTING: "wait",
    MachineState.OFF: "off",
    MachineState.ENDED: "end",
    MachineState.SILENT: "question",
    MachineState.UNREACHABLE: "disconnected",
}


@functools.cache
def state_icon(state: MachineState, *, on_picture: bool = False) -> QIcon:
    """Return the icon of a state; an empty one without icons.

    Args:
        state: The state.
        on_picture: It is drawn on the surround of a picture, which is dark in every palette.
    """
    return icons.icon(_NAMES[state], QColor("white") if on_picture else None)


@functools.cache
def warning_icon() -> QIcon:
    """Return the icon of a warning."""
    return icons.icon("warning")
