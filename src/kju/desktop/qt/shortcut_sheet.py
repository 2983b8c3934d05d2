"""The sheet of shortcuts (F1): made from the actions themselves, so that it is complete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)


class Shortcut(NamedTuple):
    """One line of the sheet.

    Attributes:
        group: The menu, or the place where it works.
        text: Its effect.
        keys: The keys.
    """

    group: str
    text: str
    keys: str


def shortcuts_of(group: str, actions: Iterable[QAction]) -> list[Shortcut]:
    """Return the shortcuts of actions, those of their submenus too."""
    found = []
    for action in actions:
        menu = action.menu()
        if menu is not None:
            found += shortcuts_of(group, menu.actions())  # type: ignore[attr-defined]  # QMenu
        elif keys := action.shortcuts():
            text = action.text().replace("&&", "\0").replace("&", "").replace("\0", "&")
            form = QKeySequence.SequenceFormat.NativeText
            words = ", ".join(each.toString(form) for each in keys)
            found.append(Shortcut(group, text.rstrip("\N{HORIZONTAL ELLIPSIS}"), words))
    return found


class ShortcutSheet(QDialog):
    """A window with all shortcuts.

    Args:
        shortcuts: Its lines.
        parent: Its parent window.
    """

    def __init__(self, shortcuts: Sequence[Shortcut], parent: QWidget | None = None) -> None:
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
