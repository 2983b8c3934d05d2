"""The main window: a tab with the wall, and a tab for each console."""

from __future__ import annotations

import html
from collections.abc import Callable

import msgspec
from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QImage, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QMainWindow,
    QMenu,
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
from .. import first_steps
from .. import settings as stored
from ..background import Background
from ..machines.entry import MachineEntry, MachineKey, MachineState
from ..machines.machines import Machines
from ..settings import DesktopSettings
from ..wall.empty import EmptyAction
from ..wall.search import Order
from .consoles import Console, Consoles
from .shortcut_sheet import Shortcut, ShortcutSheet, shortcuts_of
from .wall.text_search import TextSearch
from .wall.wall import TILE_WIDTHS, Wall
from .wall.wall_page import WallPage

_FIRST_SIZE = (1160, 760)
_MESSAGE_MS = 6000
#: Milliseconds of an empty wall before this computer's setup is checked: it takes a second of CPU.
_CHECK_MS = 700
#: Shortcuts that are keys of the wall, not actions.
_WALL_KEYS = (
    Shortcut("Wall", "Open the console in a tab", "Return"),
    Shortcut("Wall", "Open the console in a window", "Shift+Return"),
    Shortcut("Wall", "Select further machines", "Ctrl+Space, Shift+Arrow keys"),
    Shortcut("Wall", "Show the menu of the selection", "Menu, Shift+F10"),
    Shortcut("Wall", "Change the size of the tiles", "Ctrl+Wheel"),
    Shortcut("Search", "Empty the search, then leave it", "Esc"),
)


class MainWindow(QMainWindow):
    """The main window.

    Args:
        machines: All machines.
        background: Runs what may block.
        settings: Those of the last run.
        picture: Returns a machine's newest picture.

    Attributes:
        page: The page of the wall.
        wall: The wall.
        tabs: The wall's tab and those of consoles and further pages.
        machine_menu: The menu of the selected machines, which is the wall's context menu too.
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
        self.wall: Wall = self.page.wall
        self.tabs = QTabWidget(documentMode=True, movable=True, tabsClosable=True)
        self.tabs.addTab(self.page, "Machines")
        self._fix_first_tab()
        self.tabs.tabCloseRequested.connect(self._close_tab)
        self.tabs.currentChanged.connect(self._tab_changed)
        self.setCentralWidget(self.tabs)
        self._texts = TextSearch(self.page, machines, background.post)
        self._texts.failed.connect(self.say)
        self.consoles = Consoles(self.tabs, self._console_closed)
        self._check = first_steps.SetupCheck()
        self._check_soon = QTimer(self, singleShot=True, interval=_CHECK_MS)
        self._check_soon.timeout.connect(self.check_setup)
        self.consoles.wall_wanted.connect(self._raise_wall)
        self._groups: dict[str, QMenu] = {}
        self.machine_menu = self.add_menu("&Machine")
        self._make_actions()
        self.wall.opened.connect(self._open)
        self.wall.menu_requested.connect(self._show_menu)
        self.wall.selection_changed.connect(self._selection_changed)
        self.page.empty.pressed.connect(self._empty_pressed)
        self.page.setup_wanted.connect(self._check_soon.start)
        self._tab_changed(0)
        self.statusBar().setSizeGripEnabled(False)
        self._restore()
        self._selection_changed()
        self.wall.setFocus()

    def _fix_first_tab(self) -> None:
        """Keep the wall's tab: it has no close button."""
        bar = self.tabs.tabBar()
        for side in (QTabBar.ButtonPosition.LeftSide, QTabBar.ButtonPosition.RightSide):
            bar.setTabButton(0, side, None)

    # ---- Menus

    def add_menu(self, title: str) -> QMenu:
        """Add a menu to the menu bar; its shortcuts are on the sheet of shortcuts."""
        menu = self.menuBar().addMenu(title)
        self._groups[title.replace("&", "")] = menu
        return menu

    def add_action(self, menu: QMenu, text: str, run: Callable[[], object], *keys: str) -> QAction:
        """Add an action to a menu."""
        action = menu.addAction(text)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.triggered.connect(lambda checked=False: run())
        return action

    def _make_actions(self) -> None:
        self._open_tab = self.add_action(
            self.machine_menu, "&Open", lambda: self._open_selected(False)
        )
        self._open_window = self.add_action(
            self.machine_menu, "Open in a &window", lambda: self._open_selected(True)
        )
        self._forget = self.add_action(
            self.machine_menu, "Remove from the wall", self._forget_selected
        )
        view = self.view_menu = self.add_menu("&View")
        self.add_action(view, "&Search", self._focus_search, "Ctrl+F")
        self.add_action(view, "Select &all", self.wall.selectAll)  # the wall's own Ctrl+A
        self.add_action(view, "&Wall", self.show_wall, "Ctrl+1")
        self.add_action(view, "&Larger tiles", lambda: self._resize_tiles(32), "Ctrl++", "Ctrl+=")
        self.add_action(view, "S&maller tiles", lambda: self._resize_tiles(-32), "Ctrl+-")
        self.add_action(
            view, "&Usual size", lambda: self.wall.set_tile_width(TILE_WIDTHS[1]), "Ctrl+0"
        )
        view.addSeparator()
        self.add_action(view, "&Next tab", lambda: self._next_tab(1), "Ctrl+Tab", "Ctrl+PgDown")
        self.add_action(
            view, "&Previous tab", lambda: self._next_tab(-1), "Ctrl+Shift+Tab", "Ctrl+PgUp"
        )
        self._detach = self.add_action(view, "Tab into a &window", self._detach_tab, "Ctrl+Shift+N")
        self.add_action(
            view, "&Close tab", lambda: self._close_tab(self.tabs.currentIndex()), "Ctrl+W"
        )
        view.addSeparator()
        self.add_action(view, "&Quit; machines keep running", self.close, "Ctrl+Q")
        self.help_menu = self.add_menu("&Help")
        self.add_action(self.help_menu, "&Shortcuts", self.show_shortcuts, "F1")

    def _show_menu(self, at: QPoint) -> None:
        self.machine_menu.popup(at)

    def show_shortcuts(self) -> None:
        """Show the sheet of shortcuts."""
        found = [
            s for title, menu in self._groups.items() for s in shortcuts_of(title, menu.actions())
        ]
        sheet = ShortcutSheet([*found, *_WALL_KEYS], self)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

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

    def _empty_pressed(self, action: EmptyAction) -> None:
        if action is EmptyAction.SAMPLE:
            self._start_sample()
        elif action is EmptyAction.CHECK:
            self.check_setup()

    def check_setup(self) -> None:
        """Check this computer's setup, while the wall is empty."""
        if not self._machines.entries:
            self._check.cancel()
            self._check = first_steps.SetupCheck()
            self._background.run(self._check.run, self.page.set_setup)

    def _start_sample(self) -> None:
        page, post = self.page.empty, self._background.post

        def report(words: str) -> None:
            post(lambda: page.show_progress(one_line(words)))

        def failed(reason: str) -> None:
            page.show_progress("")
            self.say(reason)
            QMessageBox.warning(self, "The sample guest", _plain(reason))

        def done(name: str) -> None:
            page.show_progress("")
            self.wall.select(MachineKey("", name))

        page.show_progress("starting the sample guest")
        self._background.run(lambda: first_steps.start_sample(report), done, failed)

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
        self._detach.setEnabled(isinstance(self.tabs.widget(index), Console))

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
        if isinstance(widget, Console):
            self.consoles.detach(widget)

    def _close_tab(self, index: int) -> None:
        widget = self.tabs.widget(index)
        if isinstance(widget, Console):
            self.consoles.close(widget)
        elif widget is not None and widget is not self.page:
            self.tabs.removeTab(index)
            widget.close()

    def _console_closed(self, name: str) -> None:
        self.say(f"{name} keeps running")

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
        """The settings that are remembered when the window closes."""
        return self._settings

    def remember(self, settings: DesktopSettings) -> None:
        """Remember these settings when the window closes; its place and sizes are added."""
        self._settings = settings

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
        settings = self.current_settings()
        self._background.run(lambda: stored.store(settings))
        self.consoles.close_all()
        self._texts.close()
        self._check_soon.stop()
        self._check.cancel()
        event.accept()

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


def _plain(text: str) -> str:
    """Return a text that Qt does not take for HTML."""
    return html.escape(one_line(text))


def _is_over(entry: MachineEntry) -> bool:
    return entry.state is MachineState.ENDED and not entry.defined
