"""The consoles of the app: each in a tab of the main window, or in a window of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QTabWidget

from ...codegen.qt.script_tool import ScriptTool
from ...viewers import settings
from ...viewers.contract import ViewCommand
from ...viewers.input.grab import RELEASE
from ...viewers.qt.heads import HeadFactory, HeadWindows
from ...viewers.qt.menu import Section
from ...viewers.qt.palette import plain_action
from ...viewers.qt.remembering import remember
from ...viewers.qt.widget import ScreenView
from ...viewers.qt.window import MachineWindow
from ...viewers.settings import SIDE_BY_SIDE, MachineSettings, ShownScreens


class ConsolePane(MachineWindow):
    """The console of one screen of a machine; a tab or a window.

    Args:
        name: The machine.
        head: Index of the screen.
        shows_row: Returns whether this window shows all screens of the machine side by side.
    """

    #: It is to fill the display, from its tab; or to return there.
    full_screen_wanted = Signal()
    moved = Signal()
    wall_wanted = Signal()
    closed = Signal()
    #: The number of the machine's screens is known; and what is remembered of the machine.
    screens_known = Signal(int)
    settings_known = Signal(object)

    def __init__(self, name: str, head: int, shows_row: Callable[[], bool]) -> None:
        super().__init__(make_view(name, head))
        self.take_view(self.view)
        remember(
            self,
            self.view,
            lambda: SIDE_BY_SIDE if shows_row() else head,
            self.settings_known.emit,
        )
        self.view.status_changed.connect(lambda status: self.screens_known.emit(status.screens))
        self.name, self.head = name, head
        #: Records scripts.
        self.script: ScriptTool = ScriptTool(self.console)
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

    def take_view(self, view: ScreenView) -> None:
        """Keep the main window's shortcuts from a view: every key is the guest's."""
        view.installEventFilter(self)

    @property
    def title(self) -> str:
        """The title of its tab."""
        return self.view.viewer.target.label

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
            event.accept()
            return True
        return super().eventFilter(source, event)

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        self.closed.emit()


def make_view(name: str, head: int) -> ScreenView:
    """Return a view of one screen of a machine."""
    view = ScreenView()
    view.show_machine(name, console=head, release=RELEASE)
    return view


class _MachineConsoles:
    """The open consoles of one machine.

    Attributes:
        open: The consoles, by the index of their screens.
        heads: The menu and the row of a machine with several screens; None for one screen.
        wanted: The screens to show as soon as their number is known; None until that is read.
    """

    def __init__(self) -> None:
        self.open: dict[int, ConsolePane] = {}
        self.heads: HeadWindows | None = None
        self.wanted: ShownScreens | None = None

    @property
    def shows_row(self) -> bool:
        return self.heads is not None and self.heads.row is not None

    def arrange(self) -> None:
        """Apply the remembered arrangement, once it and the number of screens are known."""
        if self.heads is not None and self.wanted is not None:
            wanted, self.wanted = self.wanted, ShownScreens.ONE
            self.heads.arrange(wanted)


class Consoles(QObject):
    """The open consoles.

    Args:
        tabs: The tabs of the main window.
        on_closed: Called with the name of a machine whose console was closed.
    """

    wall_wanted = Signal()
    #: Why settings were not saved.
    failed = Signal(str)
    _settings_fault = Signal(str)  # emitted on a thread

    def __init__(self, tabs: QTabWidget, on_closed: Callable[[str], None]) -> None:
        super().__init__(tabs)
        self._tabs = tabs
        self._on_closed = on_closed
        self._machines: dict[str, _MachineConsoles] = {}
        self._settings_fault.connect(self.failed, Qt.ConnectionType.QueuedConnection)

    def open_tab(self, name: str) -> ConsolePane:
        """Show a machine in a tab; raise its window if it has one."""
        console = self._first(name)
        if console is None:
            console = self._create(name, 0)
            self._add_tab(console)
        self.show(console)
        return console

    def open_window(self, name: str) -> ConsolePane:
        """Show a machine in a window of its own."""
        console = self._first(name)
        if console is None:
            console = self._create(name, 0)
        elif console.is_tab:
            self.detach(console)
        self.show(console)
        return console

    def _first(self, name: str) -> ConsolePane | None:
        """Return a machine's console of its first screen that has one; None without any."""
        consoles = self._machines[name].open if name in self._machines else {}
        return consoles[min(consoles)] if consoles else None

    def show(self, console: ConsolePane) -> None:
        """Raise a console."""
        if console.is_tab:
            self._tabs.setCurrentWidget(console)
            console.view.setFocus()
        else:
            console.show()
            console.show_place()
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
        if console.is_tab or not self._is_open(console):
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
        for machine in list(self._machines.values()):
            for console in list(machine.open.values()):
                self.close(console)

    def _create(self, name: str, head: int) -> ConsolePane:
        machine = self._machines.setdefault(name, _MachineConsoles())
        console = ConsolePane(name, head, lambda: machine.shows_row)
        machine.open[head] = console
        console.full_screen_wanted.connect(lambda: self._full_screen(console))
        console.moved.connect(lambda: self._move(console))
        console.wall_wanted.connect(self.wall_wanted)
        console.closed.connect(lambda: self._closed(console))
        console.screens_known.connect(lambda count: self._take_screens(machine, console, count))
        console.settings_known.connect(lambda known: self._take_settings(machine, known))
        return console

    def _is_open(self, console: ConsolePane) -> bool:
        machine = self._machines.get(console.name)
        return machine is not None and machine.open.get(console.head) is console

    def _take_screens(self, machine: _MachineConsoles, console: ConsolePane, count: int) -> None:
        """Give a machine with several screens its menu, and apply its arrangement."""
        if not count or not self._is_open(console):
            return
        if machine.heads is None:
            if count < 2:
                return
            machine.heads = self._new_heads(machine, console.name, count)
        machine.heads.set_count(count)
        machine.heads.add(console.head, console)
        machine.arrange()

    def _take_settings(self, machine: _MachineConsoles, known: MachineSettings) -> None:
        if machine.wanted is None:
            machine.wanted = known.screens
            machine.arrange()

    def _new_heads(self, machine: _MachineConsoles, name: str, count: int) -> HeadWindows:
        def make_row_view(head: int) -> ScreenView:
            view = make_view(name, head)
            machine.open[0].take_view(view)
            return view

        def remember_screens(screens: ShownScreens) -> None:
            def change(known: MachineSettings) -> None:
                known.screens = screens

            settings.update_soon(name, change, self._settings_fault.emit)

        heads = HeadWindows(
            HeadFactory(
                lambda head: self._create(name, head),
                make_row_view,
                lambda window: self.show(cast("ConsolePane", window)),
            ),
            count,
        )
        heads.chosen.connect(remember_screens)
        return heads

    def _add_tab(self, console: ConsolePane) -> None:
        index = self._tabs.addTab(console, plain_action(console.title))
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
        if not self._is_open(console):
            return
        machine = self._machines[console.name]
        del machine.open[console.head]
        if not machine.open:
            del self._machines[console.name]
        index = self._tabs.indexOf(console)
        if index >= 0:
            self._tabs.removeTab(index)
        console.deleteLater()
        self._on_closed(console.name)
