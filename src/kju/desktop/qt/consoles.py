"""The consoles of the app: each in a tab of the main window, or in a window of its own."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QTabWidget

from ...viewers.contract import ViewCommand
from ...viewers.input.grab import RELEASE
from ...viewers.qt.menu import Section
from ...viewers.qt.palette import plain_action
from ...viewers.qt.remembering import remember
from ...viewers.qt.widget import ScreenView
from ...viewers.qt.window import MachineWindow


class ConsolePane(MachineWindow):
    """One machine's console; a tab or a window."""

    #: It is to fill the display, from its tab; or to return there.
    full_screen_wanted = Signal()
    moved = Signal()
    wall_wanted = Signal()
    closed = Signal()

    def __init__(self, name: str) -> None:
        view = ScreenView()
        view.show_machine(name, release=RELEASE)
        super().__init__(view)
        view.installEventFilter(self)
        remember(self, view, 0)
        self.name = name
        #: It returns to its tab after the full screen.
        self.was_tab = False
        menu = self.console.menu
        menu.separate(Section.VIEW)
        self._move = menu.add(Section.VIEW, "Move into a window", self.moved.emit, icon="view")
        menu.add(
            Section.VIEW,
            "Show all machines",
            self.wall_wanted.emit,
            icon="machine",
            command=ViewCommand.WALL,
        )

    @property
    def is_tab(self) -> bool:
        """True while it is a tab of the main window."""
        return not self.isWindow()

    def show_place(self) -> None:
        """Name the other place in the menu."""
        text = "Move into a window" if self.is_tab else "Move into a tab"
        self.console.menu.set_text(self._move, text)

    def set_full_screen(self, on: bool) -> None:
        """Fill the display with the picture, or return to the window or the tab."""
        if on and self.is_tab:
            self.full_screen_wanted.emit()
        else:
            super().set_full_screen(on)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        left = event.type() == QEvent.Type.WindowStateChange and not self.isFullScreen()
        if left and self.was_tab and self.isWindow():
            self.was_tab = False
            QTimer.singleShot(0, self.full_screen_wanted.emit)

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()  # every key is the guest's, those of the main window's actions too
            return True
        return super().eventFilter(source, event)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()


class Consoles(QObject):
    """The open consoles.

    Args:
        tabs: The tabs of the main window.
        on_closed: Called with the name of a machine whose console was closed.
    """

    wall_wanted = Signal()

    def __init__(self, tabs: QTabWidget, on_closed: Callable[[str], None]) -> None:
        super().__init__(tabs)
        self._tabs = tabs
        self._on_closed = on_closed
        self._open: dict[str, ConsolePane] = {}

    def open_tab(self, name: str) -> ConsolePane:
        """Show a machine in a tab; raise its window if it has one."""
        console = self._open.get(name)
        if console is None:
            console = self._create(name)
            self._add_tab(console)
        self.show(console)
        return console

    def open_window(self, name: str) -> ConsolePane:
        """Show a machine in a window of its own."""
        console = self._open.get(name)
        if console is None:
            console = self._create(name)
            console.show()
            console.show_place()
        elif console.is_tab:
            self.detach(console)
        self.show(console)
        return console

    def show(self, console: ConsolePane) -> None:
        """Raise a console."""
        if console.is_tab:
            self._tabs.setCurrentWidget(console)
            console.view.setFocus()
        else:
            console.raise_()
            console.activateWindow()

    def detach(self, console: ConsolePane) -> None:
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
        console.show_place()
        console.view.setFocus()

    def attach(self, console: ConsolePane) -> None:
        """Move a console from its window into a tab."""
        if console.is_tab or self._open.get(console.name) is not console:
            return
        if console.isFullScreen():
            console.set_full_screen(False)
        self._add_tab(console)
        console.show_place()
        self.show(console)

    def close(self, console: ConsolePane) -> None:
        """Close a console; its machine keeps running."""
        index = self._tabs.indexOf(console)
        if index >= 0:
            self._tabs.removeTab(index)
        console.close()

    def close_all(self) -> None:
        """Close all consoles."""
        for console in list(self._open.values()):
            self.close(console)

    def _create(self, name: str) -> ConsolePane:
        console = ConsolePane(name)
        self._open[name] = console
        console.full_screen_wanted.connect(lambda: self._full_screen(console))
        console.moved.connect(lambda: self._move(console))
        console.wall_wanted.connect(self.wall_wanted)
        console.closed.connect(lambda: self._closed(console))
        return console

    def _add_tab(self, console: ConsolePane) -> None:
        index = self._tabs.addTab(console, plain_action(console.name))
        self._tabs.setTabToolTip(index, "")

    def _full_screen(self, console: ConsolePane) -> None:
        """Fill the display from a tab, or return to the tab."""
        if console.is_tab:
            self.detach(console)
            console.was_tab = True
            console.set_full_screen(True)
        else:
            self.attach(console)

    def _move(self, console: ConsolePane) -> None:
        if console.is_tab:
            self.detach(console)
        else:
            self.attach(console)

    def _closed(self, console: ConsolePane) -> None:
        if self._open.get(console.name) is console:
            del self._open[console.name]
            index = self._tabs.indexOf(console)
            if index >= 0:
                self._tabs.removeTab(index)
            console.deleteLater()
            self._on_closed(console.name)
