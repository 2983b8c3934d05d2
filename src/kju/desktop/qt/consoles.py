"""The consoles of the app: each in a tab of the main window, or in a window of its own."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtWidgets import QTabWidget

from ...escaping import one_line
from ...viewers.contract import ViewCommand
from ...viewers.grab import RELEASE
from ...viewers.qt.widget import ScreenView
from ...viewers.qt.window import MachineWindow


class Console(MachineWindow):
    """One machine's console; a tab or a window."""

    #: A command that concerns the tab: full screen, close.
    tab_command = Signal(object)
    closed = Signal()

    def __init__(self, name: str) -> None:
        view = ScreenView()
        view.show_machine(name, release=RELEASE)
        super().__init__(view)
        self.name = name
        #: It returns to its tab after the full screen.
        self.was_tab = False

    @property
    def is_tab(self) -> bool:
        """True while it is a tab of the main window."""
        return not self.isWindow()

    def execute(self, command: ViewCommand) -> None:
        """Execute a command of the window; the main window does so while this is a tab."""
        if self.is_tab:
            self.tab_command.emit(command)
        else:
            super().execute(command)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        left = event.type() == QEvent.Type.WindowStateChange and not self.isFullScreen()
        if left and self.was_tab and self.isWindow():
            self.was_tab = False
            QTimer.singleShot(0, lambda: self.tab_command.emit(ViewCommand.FULL_SCREEN))

    def event(self, event: QEvent) -> bool:
        result = super().event(event)
        if event.type() == QEvent.Type.Close:
            self.closed.emit()
        return result


class Consoles(QObject):
    """The open consoles.

    Args:
        tabs: The tabs of the main window.
        on_closed: Called with the name of a machine whose console was closed.
    """

    def __init__(self, tabs: QTabWidget, on_closed: Callable[[str], None]) -> None:
        super().__init__(tabs)
        self._tabs = tabs
        self._on_closed = on_closed
        self._open: dict[str, Console] = {}

    def open_tab(self, name: str) -> Console:
        """Show a machine in a tab; raise its window if it has one."""
        console = self._open.get(name)
        if console is None:
            console = self._create(name)
            self._add_tab(console)
        self.show(console)
        return console

    def open_window(self, name: str) -> Console:
        """Show a machine in a window of its own."""
        console = self._open.get(name)
        if console is None:
            console = self._create(name)
            console.show()
        elif console.is_tab:
            self.detach(console)
        self.show(console)
        return console

    def show(self, console: Console) -> None:
        """Raise a console."""
        if console.is_tab:
            self._tabs.setCurrentWidget(console)
            console.view.setFocus()
        else:
            console.raise_()
            console.activateWindow()

    def detach(self, console: Console) -> None:
        """Move a console from its tab into a window."""
        if not console.is_tab:
            return
        size = console.size()
        at = self._tabs.mapToGlobal(self._tabs.rect().topLeft())
        self._tabs.removeTab(self._tabs.indexOf(console))
        console.setParent(None)
        console.resize(size)
        console.move(at)
        console.show()
        console.view.setFocus()

    def attach(self, console: Console) -> None:
        """Move a console from its window into a tab."""
        if console.is_tab or self._open.get(console.name) is not console:
            return
        self._add_tab(console)
        self.show(console)

    def close(self, console: Console) -> None:
        """Close a console; its machine keeps running."""
        index = self._tabs.indexOf(console)
        if index >= 0:
            self._tabs.removeTab(index)
        console.close()

    def close_all(self) -> None:
        """Close all consoles."""
        for console in list(self._open.values()):
            self.close(console)

    def _create(self, name: str) -> Console:
        console = Console(name)
        self._open[name] = console
        console.tab_command.connect(lambda command: self._execute(console, command))
        console.closed.connect(lambda: self._closed(console))
        return console

    def _add_tab(self, console: Console) -> None:
        label = one_line(console.name).replace("&", "&&")
        index = self._tabs.addTab(console, label)
        self._tabs.setTabToolTip(index, "")

    def _execute(self, console: Console, command: ViewCommand) -> None:
        if command is ViewCommand.CLOSE:
            self.close(console)
        elif console.is_tab:
            self.detach(console)
            console.was_tab = True
            console.set_full_screen(True)
        else:
            self.attach(console)

    def _closed(self, console: Console) -> None:
        if self._open.get(console.name) is console:
            del self._open[console.name]
            index = self._tabs.indexOf(console)
            if index >= 0:
                self._tabs.removeTab(index)
            console.deleteLater()
            self._on_closed(console.name)
