"""The wall: one item view that draws a tile for each machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QMimeData,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractItemView, QFrame, QListView, QWidget

from ....viewers.qt import icons
from ....viewers.qt.palette import GRID
from ...machines.entry import MachineEntry, MachineKey
from ...machines.machines import Machines
from .tile_actions import TileAction, TileActions
from .tile_delegate import TileDelegate
from .wall_model import WallModel

#: Least, usual and greatest width of a tile.
TILE_WIDTHS = (160, 256, 512)
_WHEEL_STEP = 16
#: Milliseconds between two drawings of how long machines have been running.
_UPTIME_MS = 60_000


_Index = QModelIndex | QPersistentModelIndex


class Wall(QListView):
    """The tiles of the machines.

    Args:
        machines: All machines.
        picture: Returns a machine's newest picture.
        parent: Its parent widget.

    Attributes:
        tiles: The model of the rows.
    """

    #: A `MachineEntry`, and True to open it in a window of its own.
    opened = Signal(object, bool)
    selection_changed = Signal()
    #: A list of paths, and the `MachineEntry` of the tile below the pointer or None.
    files_dropped = Signal(list, object)
    #: The place of the menu, in global coordinates.
    menu_requested = Signal(QPoint)
    tile_width_changed = Signal(int)
    #: The tiles in view, or the tile below the pointer, may be others now.
    view_changed = Signal()

    def __init__(
        self,
        machines: Machines,
        picture: Callable[[MachineKey], QImage | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.tiles = WallModel(machines, self)
        self._delegate = TileDelegate(self, picture)
        self._machines = machines
        self._hovered: MachineKey | None = None
        self._least_width = TILE_WIDTHS[1]
        self._anchor = QPersistentModelIndex()
        self._uptime = QTimer(self, interval=_UPTIME_MS)
        self._uptime.timeout.connect(self.viewport().update)
        self.actions_bar = TileActions(self.viewport())
        self.setModel(self.tiles)
        self.setItemDelegate(self._delegate)
        self.setAccessibleName("Machines")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSpacing(0)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setSelectionRectVisible(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAcceptDrops(True)
        self.setMouseTracking(True)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)
        for signal in (self.tiles.rowsInserted, self.tiles.rowsRemoved, self.tiles.layoutChanged):
            signal.connect(self._rows_changed)
        self.tiles.dataChanged.connect(self._place_actions)

    # ---- The selection

    def selected(self) -> list[MachineEntry]:
        """Return the selected machines, in the order of the wall."""
        rows = sorted(index.row() for index in self.selectedIndexes())
        found = (self.tiles.entry(self.tiles.index(row)) for row in rows)
        return [entry for entry in found if entry is not None]

    def current(self) -> MachineEntry | None:
        """Return the machine that has the focus."""
        return self.tiles.entry(self.currentIndex())

    def select(self, key: MachineKey) -> None:
        """Select one machine and scroll to it."""
        index = self.tiles.index_of(key)
        if index.isValid():
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def setSelection(self, rect: QRect, command: QItemSelectionModel.SelectionFlag) -> None:
        """Select the tiles of a rectangle; with Shift those from the last click, in order.

        Qt selects the rectangle between two tiles, which leaves out those at the ends of lines.
        """
        rubber_band = self.state() == QAbstractItemView.State.DragSelectingState
        if rubber_band or not command & QItemSelectionModel.SelectionFlag.Current:
            self._anchor = QPersistentModelIndex(self.currentIndex())
            super().setSelection(rect, command)
            return
        ends = sorted((self._anchor.row(), self.currentIndex().row()))
        first, last = (self.tiles.index(max(0, row)) for row in ends)
        self.selectionModel().select(
            QItemSelection(first, last), QItemSelectionModel.SelectionFlag.ClearAndSelect
        )

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:
        super().selectionChanged(selected, deselected)
        self.selection_changed.emit()

    def currentChanged(self, current: _Index, previous: _Index) -> None:
        super().currentChanged(current, previous)
        self._place_actions()

    # ---- Tiles in view

    def visible_keys(self) -> set[MachineKey]:
        """Return the machines whose tiles are in view."""
        if not self.isVisible():
            return set()
        view = self.viewport().rect()
        size = self.gridSize()
        rows = range(self.tiles.rowCount())
        found = set()
        first = self._first_row_in_view(view, size)
        for row in rows[first:]:
            rect = self.visualRect(self.tiles.index(row))
            if rect.top() > view.bottom():
                break
            if rect.intersects(view):
                found.add(self.tiles.keys[row])
        return found

    def _first_row_in_view(self, view: QRect, size: QSize) -> int:
        across = max(1, view.width() // max(1, size.width()))
        line = max(0, self.verticalScrollBar().value() // size.height() - 2)
        return min(line * across, self.tiles.rowCount())

    @property
    def hovered(self) -> MachineKey | None:
        """The machine below the pointer."""
        return self._hovered

    def picture_size(self) -> tuple[int, int]:
        """Return width and height of a picture in device pixels."""
        size = self._delegate.picture_size() * self.devicePixelRatioF()
        return size.width(), size.height()

    @property
    def tile_width(self) -> int:
        """The least width of the tiles: they grow until their columns fill the wall."""
        return self._least_width

    def set_tile_width(self, width: int) -> None:
        """Set the least width of the tiles."""
        least, _, most = TILE_WIDTHS
        width = max(least, min(most, width))
        if width != self._least_width:
            self._least_width = width
            self._spread()
            self.tile_width_changed.emit(width)
            self._rows_changed()

    def _rows_changed(self) -> None:
        self._place_actions()
        self.view_changed.emit()

    def _scrolled(self) -> None:
        self._place_actions()
        self.view_changed.emit()

    # ---- Actions on a tile

    def set_tile_actions(self, actions: Callable[[MachineEntry], list[TileAction]]) -> None:
        """Show these actions, and Open, on the tile below the pointer or with the focus."""
        self.actions_bar.choose = lambda entry: [*actions(entry), *self._open_actions(entry)]
        self._place_actions()

    def _open_actions(self, entry: MachineEntry) -> list[TileAction]:
        if not entry.has_console:
            return []
        return [TileAction("Open", icons.icon("view"), lambda: self.opened.emit(entry, False))]

    def _place_actions(self) -> None:
        key = self._hovered
        index = self.tiles.index_of(key) if key else self.currentIndex()
        entry = self.tiles.entry(index)
        if entry is None or (key is None and not self.hasFocus()):
            self.actions_bar.show_for(None, QRect())
            return
        place = self._delegate.parts(self.visualRect(index), self.font()).picture
        self.actions_bar.show_for(entry, place)

    def _hover(self, at: QPoint | None) -> None:
        entry = self.tiles.entry(self.indexAt(at)) if at is not None else None
        key = entry.key if entry else None
        if key != self._hovered:
            self._hovered = key
            self._place_actions()
            self.view_changed.emit()

    # ---- Events

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self._hover(event.position().toPoint())

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._hover(None)
        return super().viewportEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        entry = self.tiles.entry(self.indexAt(event.position().toPoint()))
        if entry is not None and event.button() == Qt.MouseButton.LeftButton:
            in_window = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self.opened.emit(entry, in_window)
            return
        super().mouseDoubleClickEvent(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) or self._activates(event):
            in_window = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            current = self.current()
            for entry in self.selected() or ([current] if current else []):
                self.opened.emit(entry, in_window)
            return
        super().keyPressEvent(event)

    def _activates(self, event: QKeyEvent) -> bool:
        """Return whether a key is Space on the only selected tile; on another it selects."""
        plain = event.modifiers() in (
            Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
        )  # fmt: skip
        is_space = event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Select)
        is_selected = self.selectedIndexes() == [self.currentIndex()]
        return plain and is_space and is_selected and not event.isAutoRepeat()

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            steps = event.angleDelta().y() / 120
            self.set_tile_width(self.tile_width + round(steps * _WHEEL_STEP))
            event.accept()
            return
        super().wheelEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            rect = self.visualRect(self.currentIndex())
            self.menu_requested.emit(self.viewport().mapToGlobal(rect.center()))
        else:
            self.menu_requested.emit(event.globalPos())
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._spread()
        super().resizeEvent(event)
        self._rows_changed()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._spread()

    def _spread(self) -> None:
        """Let the tiles grow until their columns fill the width."""
        # Qt leaves a pixel free; the scroll bar's width is always left for it.
        room = self.width() - self.verticalScrollBar().sizeHint().width() - 2
        columns = max(1, room // (self._least_width + GRID))
        self._delegate.width = max(self._least_width, room // columns - GRID)
        tile = self._delegate.tile_size(self.font())
        cell = QSize(tile.width() + GRID, tile.height() + GRID)
        if cell != self.gridSize():
            self.setGridSize(cell)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._uptime.start()
        self._machines.set_visible(True)
        self.view_changed.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._uptime.stop()
        self._machines.set_visible(False)
        self.view_changed.emit()

    # ---- Files dropped

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _paths(event.mimeData()):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        if paths := _paths(event.mimeData()):
            entry = self.tiles.entry(self.indexAt(event.position().toPoint()))
            event.acceptProposedAction()
            self.files_dropped.emit(paths, entry)


def _paths(data: QMimeData) -> list[Path]:
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
