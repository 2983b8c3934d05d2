"""The app's main window on its model, in this process; without a display in most tests."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QApplication

from kju.desktop.background import Background
from kju.desktop.machines.entry import MachineEntry, MachineKey, MachineState
from kju.desktop.machines.machines import Machines
from kju.desktop.qt.main_window import MainWindow
from kju.desktop.settings import DesktopSettings

from . import qt_wait


class _Posts(QObject):
    posted = Signal(object)


class DesktopApp:
    """The main window, its model and its threads.

    Args:
        settings: The settings of the last run.
    """

    until = staticmethod(qt_wait.until)

    def __init__(self, settings: DesktopSettings) -> None:
        self.qt = QApplication.instance() or QApplication(["kju"])
        self._posts = _Posts()
        self._posts.posted.connect(lambda call: call(), Qt.ConnectionType.QueuedConnection)
        self.post = self._posts.posted.emit
        self.machines = Machines(self.post)
        self.background = Background(self.post)
        self.window = MainWindow(self.machines, self.background, settings)

    def entry(self, name: str) -> MachineEntry | None:
        return self.machines.entries.get(MachineKey("", name))

    def is_state(self, name: str, state: MachineState) -> bool:
        entry = self.entry(name)
        return entry is not None and entry.state is state

    def until_state(self, name: str, state: MachineState) -> None:
        self.until(lambda: self.is_state(name, state), f"{name} is {state}, not {self.entry(name)}")

    def close(self) -> None:
        self.window.close()
        self.machines.close()
        self.background.close(10)
        self.window.deleteLater()
        self.qt.processEvents()
