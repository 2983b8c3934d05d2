"""The figures of a view, drawn over its corner while the user wants them."""

from __future__ import annotations

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QHideEvent, QPalette, QShowEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from ...escaping import one_line
from ..numbers import Report
from ..viewer import Viewer
from .contrast import OverlayFrame

_REFRESH_MS = 500
_MARGIN = 16


class NumbersOverlay(OverlayFrame):
    """The figures of one viewer, at the top right of a widget.

    They are collected while this is shown, and only then.

    Args:
        viewer: The viewer.
        parent: The widget to draw over.
    """

    def __init__(self, viewer: Viewer, parent: QWidget) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._values: list[QLabel] = []
        self._timer = QTimer(self, interval=_REFRESH_MS)
        self._timer.timeout.connect(self._refresh)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.Window)
        self.setAccessibleName("Numbers")
        parent.installEventFilter(self)
        self.hide()

    def _make_labels(self) -> None:
        """Make the labels at the first showing: few windows need them."""
        grid = QGridLayout(self)
        grid.setContentsMargins(16, 8, 16, 8)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        for row, (name, value) in enumerate(Report().rows):
            grid.addWidget(self._label(name), row, 0)
            self._values.append(self._label(value))
            grid.addWidget(self._values[-1], row, 1)

    def _label(self, text: str) -> QLabel:
        label = QLabel(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        return label

    @property
    def text(self) -> str:
        """The figures as lines of text, for the clipboard and for tests."""
        rows = zip(Report().rows, self._values, strict=True)
        return "\n".join(f"{name}: {value.text()}" for (name, _), value in rows)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if not self._values:
            self._make_labels()
        self._viewer.show_numbers(True)
        self._refresh()
        self.raise_()
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()
        self._viewer.show_numbers(False)

    def eventFilter(self, source: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _refresh(self) -> None:
        report = self._viewer.numbers()
        if report is None:
            return
        for (_, value), label in zip(report.rows, self._values, strict=True):
            label.setText(one_line(value))
        self.setAccessibleDescription(self.text)
        self._place()

    def _place(self) -> None:
        size = self.sizeHint()
        # It grows with its text, and does not shrink: a frame that jumps cannot be read.
        size = size.expandedTo(self.size()) if self.isVisible() else size
        self.resize(size)
        parent = self.parentWidget()
        if parent is not None:
            self.move(max(0, parent.width() - size.width() - _MARGIN), _MARGIN)
