"""The machine's section of the menu: start, pause, resume, reset, power, stop, snapshot."""

from __future__ import annotations

import functools
import re
import time

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction

from ...protocol.values import TAG
from ..contract import Status
from ..machine_commands import MachineCommand
from ..machine_control import MachineControl
from .ask import AskText, confirm
from .menu import Section
from .view_parts import ViewParts

_LABELS = {
    MachineCommand.START: ("Start", "start"),
    MachineCommand.PAUSE: ("Pause", "pause"),
    MachineCommand.RESUME: ("Resume", "start"),
    MachineCommand.RESET: ("Reset\N{HORIZONTAL ELLIPSIS}", "reset"),
    MachineCommand.POWER: ("Press the power button", "power"),
    MachineCommand.STOP: ("Shut down, end after 30 s", "stop"),
    MachineCommand.END: ("End now\N{HORIZONTAL ELLIPSIS}", "end"),
    MachineCommand.SNAPSHOT: ("Save a snapshot\N{HORIZONTAL ELLIPSIS}", "snapshot"),
}
# Of two commands only the one that fits the machine's state is shown.
_PAIRS = {
    MachineCommand.START: MachineCommand.STOP,
    MachineCommand.RESUME: MachineCommand.PAUSE,
}
_LINES_BEFORE = {MachineCommand.RESET, MachineCommand.SNAPSHOT}


class MachineActions(QObject):
    """The machine's actions of one window.

    Args:
        console: The window's parts.

    Attributes:
        control: Gives the commands.
    """

    #: The `ControlState` has changed.
    state_changed = Signal(object)

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        viewer = console.view.viewer
        self.control = MachineControl(
            viewer.name, viewer.backend.post, console.notify, self._changed
        )
        self._actions: dict[MachineCommand, QAction] = {}
        for command, (label, icon) in _LABELS.items():
            if command in _LINES_BEFORE:
                console.menu.separate(Section.MACHINE)
            run = functools.partial(self.run, command)
            self._actions[command] = console.menu.add(Section.MACHINE, label, run, icon=icon)
        console.status_changed.connect(self._take_status)
        self._changed()

    def run(self, command: MachineCommand) -> None:
        """Give a command, after a question where it needs a name or cannot be undone."""
        window, name = self._console.window, self.control.name
        match command:
            case MachineCommand.SNAPSHOT:
                AskText(
                    window, "Save snapshot", f"Name of the snapshot of {name}:",
                    time.strftime("%Y%m%d-%H%M%S"), _tag_problem,
                    lambda tag: self.control.run(command, tag),
                ).open()  # fmt: skip
            case MachineCommand.RESET:
                detail = (
                    "The guest is not asked. It loses all that it has not written to its disks."
                )
                confirm(
                    window, f"Reset {name}?", detail, "Reset", lambda: self.control.run(command)
                )
            case MachineCommand.END:
                detail = (
                    "The guest is not asked. It loses all that it has not written to its disks."
                )
                confirm(
                    window, f"End {name} now?", detail, "End now", lambda: self.control.run(command)
                )
            case _:
                self.control.run(command)

    def close(self) -> None:
        """Drop the results of commands that are under way."""
        self.control.close()

    def _take_status(self, status: Status) -> None:
        self.control.set_status(status)
        self._changed()

    def _changed(self) -> None:
        for command, action in self._actions.items():
            self._console.menu.set_refusal(action, self.control.refusal(command))
        for one, other in _PAIRS.items():
            first = not self.control.refusal(one)
            self._actions[one].setVisible(first)
            self._actions[other].setVisible(not first)
        self.state_changed.emit(self.control.state)


def _tag_problem(tag: str) -> str:
    """Return the reason why a text cannot be a snapshot's name; empty where it can."""
    if re.search(TAG, tag):
        return ""
    return (
        "Use 1 to 64 letters, digits, '.', '_' and '-', not only digits, and begin with a letter"
        " or a digit."
    )
