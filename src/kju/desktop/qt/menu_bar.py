"""The menu bar of the main window, and the sheet of shortcuts (F1), made from its actions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QMenu,
    QMenuBar,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)


class _Shortcut(NamedTuple):
    """One line of the sheet.

    Attributes:
        group: The menu, or the place where it works.
        text: Its effect.
        keys: The keys.
    """

    group: str
    text: str
    keys: str


#: Shortcuts that are keys of the wall, not actions.
_WALL_KEYS = (
    _Shortcut("Wall", "Open the console in a tab", "Return, Space"),
    _Shortcut("Wall", "Open the console in a window", "Shift+Return, Shift+Space"),
    _Shortcut("Wall", "Select further machines", "Ctrl+Space, Shift+Arrow keys"),
    _Shortcut("Wall", "Show the menu of the selection", "Menu, Shift+F10"),
    _Shortcut("Wall", "Change the size of the tiles", "Ctrl+Wheel"),
    _Shortcut("Search", "Empty the search, then leave it", "Esc"),
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
            for shortcut in _shortcuts_of(title, menu.actions())
        ]
        sheet = _ShortcutSheet([*found, *_WALL_KEYS], self.window())
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()


def _shortcuts_of(group: str, actions: Iterable[QAction]) -> list[_Shortcut]:
    """Return the shortcuts of actions, those of their submenus too."""
    found = []
    for action in actions:
        menu = action.menu()
        if menu is not None:
            found += _shortcuts_of(group, menu.actions())  # type: ignore[attr-defined]  # QMenu
        elif keys := action.shortcuts():
            text = action.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
            form = QKeySequence.SequenceFormat.NativeText
            words = ", ".join(each.toString(form) for each in keys)
            found.append(_Shortcut(group, text.rstrip("\N{HORIZONTAL ELLIPSIS}"), words))
    return found


class _ShortcutSheet(QDialog):
    """A window with all shortcuts.

    Args:
        shortcuts: Its lines.
        parent: Its parent window.
    """

    def __init__(self, shortcuts: Sequence[_Shortcut], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Shortcuts")
        table = QTableWidget(len(shortcuts), 3)
        table.setAccessibleName("Shortcuts")
        table.setHorizontalHeaderLabels(["Where", "Effect", "Keys"])
        table.verticalHeader().hide()
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setShowGrid(False)
        table.setTabKeyNavigation(False)
        for row, shortcut in enumerate(shortcuts):
            for column, text in enumerate(shortcut):
                item = QTableWidgetItem(text)
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                table.setItem(row, column, item)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(table)
        layout.addWidget(buttons)
        side = self.fontMetrics().height()
        self.resize(min(45 * side, 1000), min(30 * side, 700))
