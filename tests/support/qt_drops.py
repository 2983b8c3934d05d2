"""Drops on a widget, as Qt reports them."""

from __future__ import annotations

import PySide6
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget


def drop(widget: QWidget, data: QMimeData, at: tuple[int, int] = (5, 5)) -> bool:
    """Drag data onto a widget and drop it; return whether the widget accepts both."""
    how = (
        Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    # Qt 6.12 takes a QPointF, and calls a QPoint deprecated.
    point = QPointF if PySide6.__version_info__ >= (6, 12) else QPoint
    enter = QDragEnterEvent(point(*at), *how)
    QApplication.sendEvent(widget, enter)
    event = QDropEvent(QPointF(*at), *how)
    event.ignore()
    QApplication.sendEvent(widget, event)
    return enter.isAccepted() and event.isAccepted()
