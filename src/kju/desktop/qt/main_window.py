"""The main window: a tab with the wall, and a tab for each console."""

from __future__ import annotations

import gc
from collections.abc import Callable

import msgspec
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QGuiApplication, QImage, QMoveEvent, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QMessageBox,
    QTabBar,
    QTabWidget,
    QWidget,
)

from ...escaping import one_line
from ...surface.geometry import Rect
from ...viewers.geometry import on_displays
from ...viewers.qt import ENDING
from ...viewers.qt.palette import plain_action
from .. import settings as stored
from ..background import Background
from ..machines.entry import MachineEntry, MachineKey, MachineState
from ..machines.machines import Machines
from ..memory import release_free_memory
from ..settings import DesktopSettings
from ..wall.search import Order
from .consoles import ConsolePane, Consoles
from .menu_bar import MainMenuBar
from .wall.first_steps import FirstSteps
from .wall.text_search import TextSearch
from .wall.wall import TILE_WIDTHS, Wall
from .wall.wall_page import WallPage

_FIRST_SIZE = (1160, 760)
_MESSAGE_MS = 6000
#: Milliseconds from the last change of the settings to their saving.
_SAVE_MS = 1000
#: Milliseconds from a closed tab to the release of its memory: its parts end meanwhile.
_TRIM_MS = 1000


class MainWindow(QMainWindow):
    """The main window.

    Args:
        machines: All machines.
        background: Runs what may block.
        settings: Those of the last run.
        picture: Returns a machine's newest picture.

    Attributes:
        page: The page of the wall.
        tabs: The wall's tab and those of consoles and further pages.
        menus: The menu bar.
        consoles: The open consoles.
    """

    #: A machine of another computer is to be opened: its `MachineEntry`, and True for a window.
    remote_opened = Signal(object, bool)

    def __init__(
        self,
        machines: Machines,
        background: Background,
        settings: DesktopSettings,
        picture: Callable[[MachineKey], QImage | None] = lambda key: None,
    ) -> None:
        super().__init__()
        self._machines = machines
        self._background = background
        self._settings = settings
        self.page = WallPage(machines, picture)
        self.tabs = QTabWidget(documentMode=True, movable=True, tabsClosable=True)
        self.tabs.addTab(self.page, "Machines")
        self._fix_first_tab()
        self.tabs.tabCloseRequested.connect(self._close_tab)
        self.tabs.currentChanged.connect(self._tab_changed)
        self.setCentralWidget(self.tabs)
        self._texts = TextSearch(self.page, machines, background.post)
        self._texts.failed.connect(self.say)
        self.consoles = Consoles(self.tabs, self._console_closed)
        self._first_steps = FirstSteps(self.page, machines, background)
        self._first_steps.failed.connect(self.say)
        self.consoles.failed.connect(self.say)
        self.consoles.wall_wanted.connect(self._raise_wall)
        self.menus = MainMenuBar(self)
        self.setMenuBar(self.menus)
        self._make_actions()
        self.wall.opened.connect(self._open)
        self.wall.menu_requested.connect(lambda at: self.menus.machine.popup(at))
        self.wall.selection_changed.connect(self._selection_changed)
        self._tab_changed(0)
        self.statusBar().setSizeGripEnabled(False)
        self._saver = _SettingsSaver(self, background)
        self._restore()
        self.wall.tile_width_changed.connect(lambda width: self._saver.save_soon())
        self.page.searched.connect(self._saver.save_soon)  # the order, too
        self._selection_changed()
        self.wall.setFocus()

    @property
    def wall(self) -> Wall:
        """The wall."""
        return self.page.wall

    def _fix_first_tab(self) -> None:
        """Keep the wall's tab: it has no close button."""
        bar = self.tabs.tabBar()
        for side in (QTabBar.ButtonPosition.LeftSide, QTabBar.ButtonPosition.RightSide):
            bar.setTabButton(0, side, None)

    # ---- Menus

    def _make_actions(self) -> None:
        menus, view, add = self.menus, self.menus.view, self.menus.add
        self._open_tab = add(menus.machine, "&Open", lambda: self._open_selected(False))
        self._open_window = add(
            menus.machine, "Open in a &window", lambda: self._open_selected(True)
        )
        self._forget = add(menus.machine, "Remove from the wall", self._forget_selected)
        add(view, "&Search", self._focus_search, "Ctrl+F")
        add(view, "Select &all", self.wall.selectAll)  # the wall's own Ctrl+A
        add(view, "&Wall", self.show_wall, "Ctrl+1")
        add(view, "&Larger tiles", lambda: self._resize_tiles(32), "Ctrl++", "Ctrl+=")
        add(view, "S&maller tiles", lambda: self._resize_tiles(-32), "Ctrl+-")
        add(view, "&Usual size", lambda: self.wall.set_tile_width(TILE_WIDTHS[1]), "Ctrl+0")
        view.addSeparator()
        add(view, "&Next tab", lambda: self._next_tab(1), "Ctrl+Tab", "Ctrl+PgDown")
        add(view, "&Previous tab", lambda: self._next_tab(-1), "Ctrl+Shift+Tab", "Ctrl+PgUp")
        self._detach = add(view, "Tab into a &window", self._detach_tab, "Ctrl+Shift+N")
        add(view, "&Close tab", lambda: self._close_tab(self.tabs.currentIndex()), "Ctrl+W")
        view.addSeparator()
        add(view, "&Quit; machines keep running", self.close, "Ctrl+Q")

    # ---- Machines

    def _selection_changed(self) -> None:
        selected = self.wall.selected()
        shows = [entry for entry in selected if entry.has_console or not entry.is_local]
        for action in (self._open_tab, self._open_window):
            action.setEnabled(bool(shows))
        self._forget.setVisible(any(_is_over(entry) for entry in selected))

    def _open(self, entry: MachineEntry, in_window: bool) -> None:
        if not entry.is_local:
            self.remote_opened.emit(entry, in_window)
        elif not entry.has_console:
            self.say(f"{entry.name} is {entry.state.value}")
        elif in_window:
            self.consoles.open_window(entry.name)
        else:
            self.consoles.open_tab(entry.name)

    def _open_selected(self, in_window: bool) -> None:
        for entry in self.wall.selected():
            if entry.has_console or not entry.is_local:
                self._open(entry, in_window)

    def open_machine(self, name: str) -> None:
        """Show a machine of this computer in a tab."""
        self.consoles.open_tab(name)

    def _forget_selected(self) -> None:
        for entry in self.wall.selected():
            if _is_over(entry):
                self._machines.forget(entry.key)

    def say(self, message: str) -> None:
        """Show a message in the status line for a few seconds."""
        self.statusBar().showMessage(one_line(message), _MESSAGE_MS)

    # ---- Tabs

    def add_page(self, page: QWidget, title: str) -> None:
        """Show a page in a tab of its own."""
        if self.tabs.indexOf(page) < 0:
            self.tabs.addTab(page, plain_action(title))
        self.tabs.setCurrentWidget(page)

    def _tab_changed(self, index: int) -> None:
        is_wall = self.tabs.widget(index) is self.page
        # The status line is the wall's: a console has its own.
        self.statusBar().setVisible(is_wall)
        name = self.tabs.tabText(index).replace("&&", "&")
        self.setWindowTitle("kju" if is_wall else f"{name} \N{EN DASH} kju")
        self._detach.setEnabled(isinstance(self.tabs.widget(index), ConsolePane))

    def show_wall(self) -> None:
        """Show the wall and give it the focus."""
        self.tabs.setCurrentWidget(self.page)
        self.wall.setFocus()

    def _raise_wall(self) -> None:
        self.show_wall()
        self.raise_()
        self.activateWindow()

    def _focus_search(self) -> None:
        self.tabs.setCurrentWidget(self.page)
        self.page.search.setFocus()
        self.page.search.selectAll()

    def _next_tab(self, step: int) -> None:
        self.tabs.setCurrentIndex((self.tabs.currentIndex() + step) % self.tabs.count())

    def _detach_tab(self) -> None:
        widget = self.tabs.currentWidget()
        if isinstance(widget, ConsolePane):
            self.consoles.detach(widget)

    def _close_tab(self, index: int) -> None:
        widget = self.tabs.widget(index)
        if isinstance(widget, ConsolePane):
            self.consoles.close(widget)
        elif widget is not None and widget is not self.page:
            self.tabs.removeTab(index)
            widget.close()
            QTimer.singleShot(_TRIM_MS, self, self._release_memory)
        focus = self.focusWidget()
        if self.tabs.currentWidget() is self.page and not (focus and self.page.isAncestorOf(focus)):
            self.page.take_focus()

    def _console_closed(self, name: str) -> None:
        entry = self._machines.entries.get(MachineKey("", name))
        if entry is not None and entry.state.runs:
            self.say(f"{name} keeps running")
        QTimer.singleShot(_TRIM_MS, self, self._release_memory)

    def _release_memory(self) -> None:
        gc.collect()  # the objects of a tab refer to each other
        self._background.run(release_free_memory)

    # ---- Sizes, and what is remembered

    def _resize_tiles(self, step: int) -> None:
        self.wall.set_tile_width(self.wall.tile_width + step)

    def _restore(self) -> None:
        known = self._settings
        if known.width:
            usable = [screen.availableGeometry() for screen in QGuiApplication.screens()]
            displays = [Rect(p.x(), p.y(), p.width(), p.height()) for p in usable]
            wanted = Rect(known.x, known.y, known.width, known.height)
            # Not `move`, which counts the frame: the window would wander with each start.
            self.setGeometry(*on_displays(wanted, displays) if displays else wanted)
        else:
            self.resize(*_FIRST_SIZE)
        if known.maximized:
            self.setWindowState(self.windowState() | Qt.WindowState.WindowMaximized)
        self.wall.set_tile_width(known.tile_width or TILE_WIDTHS[1])
        for order in Order:
            if order.name == known.order:
                self.page.set_order(order)

    @property
    def settings(self) -> DesktopSettings:
        """The settings that are remembered."""
        return self._settings

    def remember(self, settings: DesktopSettings) -> None:
        """Remember these settings; the window's place and sizes are added."""
        self._settings = settings
        self._saver.save_soon()

    def current_settings(self) -> DesktopSettings:
        """Return the settings to remember."""
        place = self.normalGeometry() if self.isMaximized() else self.geometry()
        return msgspec.structs.replace(
            self._settings,
            x=place.x(),
            y=place.y(),
            width=place.width(),
            height=place.height(),
            maximized=self.isMaximized(),
            tile_width=self.wall.tile_width,
            order=self.page.order.name,
        )

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._must_tell():
            event.ignore()
            self._tell_running()
            return
        self._saver.save()
        self.consoles.close_all()
        self._texts.close()
        self._first_steps.close()
        event.accept()

    def moveEvent(self, event: QMoveEvent) -> None:
        super().moveEvent(event)
        self._saver.save_soon()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._saver.save_soon()

    def _must_tell(self) -> bool:
        """Return whether to say that machines outlive the app: once, and not to a signal."""
        runs = any(entry.state.runs for entry in self._machines.entries.values())
        ends = bool(QApplication.instance().property(ENDING))  # type: ignore[union-attr]
        return runs and not ends and not self._settings.told_running

    def _tell_running(self) -> None:
        box = QMessageBox(
            QMessageBox.Icon.Information,
            "kju",
            "The machines keep running. Closing this window does not stop them; kju desktop shows"
            " them again.",
            QMessageBox.StandardButton.Close | QMessageBox.StandardButton.Cancel,
            self,
        )
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setDefaultButton(QMessageBox.StandardButton.Close)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.finished.connect(self._told)
        box.open()

    def _told(self, result: int) -> None:
        self._settings = msgspec.structs.replace(self._settings, told_running=True)
        if result == QMessageBox.StandardButton.Close:
            self.close()


class _SettingsSaver(QObject):
    """Saves a window's settings soon after a change, and says why they are not saved.

    Args:
        window: The window, whose settings have just been loaded.
        background: Writes the file.
    """

    def __init__(self, window: MainWindow, background: Background) -> None:
        super().__init__(window)
        self._window, self._background = window, background
        self._saved = window.settings
        self._fault = ""
        self._timer = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self._timer.timeout.connect(self.save)

    def save_soon(self) -> None:
        """Save when the changes have paused."""
        self._timer.start()

    def save(self) -> None:
        """Save the settings if they have changed since the last time."""
        self._timer.stop()
        settings = self._window.current_settings()
        if settings != self._saved:
            self._saved = settings
            self._background.run(lambda: stored.store(settings), self._say_fault)

    def _say_fault(self, reason: str) -> None:
        if reason and reason != self._fault:
            self._window.say(reason)
        self._fault = reason


def _is_over(entry: MachineEntry) -> bool:
    return entry.state is MachineState.ENDED and not entry.defined
