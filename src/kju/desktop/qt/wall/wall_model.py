"""The wall's machines as a Qt list model: rows keep their identity when the list changes."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from ...machines.entry import MachineEntry, MachineKey, name_text, spoken_text, tooltip_lines
from ...machines.machines import Machines
from ...wall.search import Filter, Order, Query, shown

#: The role of the `MachineEntry`.
ENTRY_ROLE = int(Qt.ItemDataRole.UserRole)

#: Facts that every tile has room for.
_LINES_ON_TILE = 2

_Index = QModelIndex | QPersistentModelIndex
_TOP = QModelIndex()


class WallModel(QAbstractListModel):
    """The machines that the wall shows.

    Args:
        machines: All machines.
        parent: Its parent.

    Attributes:
        keys: The keys of the rows.
        query: The search; set it by `search`.
        chosen: The filter; set it by `search`.
        order: The order; set it by `search`.
        screen_text: Returns the text that was read on a screen.
    """

    def __init__(self, machines: Machines, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.keys: list[MachineKey] = []
        self.query, self.chosen, self.order = Query(), Filter.ALL, Order.NAME
        self.screen_text: Callable[[MachineKey], str] = lambda key: ""
        self._machines = machines
        self._rows: dict[MachineKey, int] = {}
        machines.subscribe(self.refresh)
        self.refresh(set())

    def search(self, query: Query, chosen: Filter, order: Order) -> None:
        """Show the machines of a query and a filter, in an order."""
        self.query, self.chosen, self.order = query, chosen, order
        self.refresh(set())

    def entry(self, index: _Index) -> MachineEntry | None:
        """Return the machine of a row."""
        if not index.isValid() or index.row() >= len(self.keys):
            return None
        return self._machines.entries.get(self.keys[index.row()])

    def index_of(self, key: MachineKey) -> QModelIndex:
        """Return the index of a machine; invalid if it is not shown."""
        row = self._rows.get(key)
        return QModelIndex() if row is None else self.index(row)

    def rowCount(self, parent: _Index = _TOP) -> int:
        return 0 if parent.isValid() else len(self.keys)

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:  # noqa: ANN401  Qt's own
        entry = self.entry(index)
        if entry is None:
            return None
        if role == ENTRY_ROLE:
            return entry
        if role == Qt.ItemDataRole.DisplayRole:
            return name_text(entry)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return spoken_text(entry, time.time())
        if role == Qt.ItemDataRole.ToolTipRole:
            lines = tooltip_lines(entry, time.time())
            if len(lines) <= _LINES_ON_TILE:
                return None  # the tile has them, and a tooltip would cover its buttons
            # Qt would take a line with tags for HTML.
            return "<qt>" + "<br>".join(map(html.escape, lines)) + "</qt>"
        return None

    def repaint(self, key: MachineKey) -> None:
        """Draw the tile of a machine again."""
        index = self.index_of(key)
        if index.isValid():
            self.dataChanged.emit(index, index)

    def refresh(self, changed: set[MachineKey]) -> None:
        """Show the newest entries; *changed* have new facts."""
        entries = self._machines.entries.values()
        wanted = shown(entries, self.query, self.chosen, self.order, self.screen_text)
        keys = [entry.key for entry in wanted]
        if keys != self.keys:
            self._remove_others(set(keys))
            self._insert_new(keys)
            if keys != self.keys:
                self._reorder(keys)
        for key in changed:
            self.repaint(key)

    def _remove_others(self, kept: set[MachineKey]) -> None:
        for row in range(len(self.keys) - 1, -1, -1):
            if self.keys[row] not in kept:
                self.beginRemoveRows(_TOP, row, row)
                del self.keys[row]
                self._number()
                self.endRemoveRows()

    def _insert_new(self, keys: list[MachineKey]) -> None:
        have = set(self.keys)
        row = 0
        while row < len(keys):
            if keys[row] in have:
                row += 1
                continue
            end = row
            while end < len(keys) and keys[end] not in have:
                end += 1
            at = min(row, len(self.keys))
            self.beginInsertRows(_TOP, at, at + end - row - 1)
            self.keys[at:at] = keys[row:end]
            self._number()
            self.endInsertRows()
            row = end

    def _reorder(self, keys: list[MachineKey]) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        moved = [self.keys[index.row()] for index in before]
        self.keys = keys
        self._number()
        self.changePersistentIndexList(before, [self.index_of(key) for key in moved])
        self.layoutChanged.emit()

    def _number(self) -> None:
        self._rows = {key: row for row, key in enumerate(self.keys)}
