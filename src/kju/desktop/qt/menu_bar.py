"""The menu bar of the main window; its actions are the lines of the sheet of shortcuts."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QWidget

from .shortcut_sheet import Shortcut, ShortcutSheet, shortcuts_of

#: Shortcuts that are keys of the wall, not actions.
_WALL_KEYS = (
    Shortcut("Wall", "Open the console in a tab", "Return"),
    Shortcut("Wall", "Open the console in a window", "Shift+Return"),
    Shortcut("Wall", "Select further machines", "Ctrl+Space, Shift+Arrow keys"),
    Shortcut("Wall", "Show the menu of the selection", "Menu, Shift+F10"),
    Shortcut("Wall", "Change the size of the tiles", "Ctrl+Wheel"),
    Shortcut("Search", "Empty the search, then leave it", "Esc"),
)


class MainMenuBar(QMenuBar):
    """The menu bar. Several modules add their actions to its menus.

    Args:
        window: The main window.

    Attributes:
        machine: The menu of the selected machines, which is the wall's context menu too.
        view: The menu of the wall and of the tabs.
        help: The menu with the sheet of shortcuts.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._groups: dict[str, QMenu] = {}
        self.machine = self._add_menu("&Machine")
        self.view = self._add_menu("&View")
        self.help = self._add_menu("&Help")
        self.add(self.help, "&Shortcuts", self.show_shortcuts, "F1")

    def _add_menu(self, title: str) -> QMenu:
        menu = self._groups[title.replace("&", "")] = self.addMenu(title)
        return menu

    def add(self, menu: QMenu, text: str, run: Callable[[], object], *keys: str) -> QAction:
        """Add an action to a menu."""
        action = menu.addAction(text)
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.triggered.connect(lambda checked=False: run())
        return action

    def show_shortcuts(self) -> None:
        """Show the sheet of shortcuts."""
        found = [
            shortcut
            for title, menu in self._groups.items()
            for shortcut in shortcuts_of(title, menu.actions())
        ]
        sheet = ShortcutSheet([*found, *_WALL_KEYS], self.window())
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()
