"""The page in place of an empty wall: what to do next, with buttons that do it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QFont, QGuiApplication
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ....viewers.qt.palette import GRID
from ...wall.empty import EmptyAction, EmptyState

_WIDTH_IN_LETTERS = 72


class EmptyPage(QWidget):
    """One empty state at a time."""

    #: An `EmptyAction`.
    pressed = Signal(object)
    files_dropped = Signal(list)

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(True)
        self._title, self._text = _label(), _label()
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * 1.5)
        self._title.setFont(font)
        self._command = QLineEdit(readOnly=True)
        self._command.setAccessibleName("Command for a terminal")
        self._copy = QPushButton("Copy")
        self._copy.setAccessibleName("Copy the command")
        self._copy.clicked.connect(self._copy_command)
        self._progress = QProgressBar(maximum=0)
        self._progress.setAccessibleName("Progress")
        self._progress.hide()
        self._buttons = QHBoxLayout()
        self._state: EmptyState | None = None
        command = QHBoxLayout()
        command.addWidget(self._command, 1)
        command.addWidget(self._copy)
        column = QVBoxLayout()
        column.setSpacing(2 * GRID)
        column.addWidget(self._title)
        column.addWidget(self._text)
        column.addLayout(command)
        column.addWidget(self._progress)
        column.addLayout(self._buttons)
        middle = QWidget()
        middle.setLayout(column)
        middle.setMaximumWidth(self.fontMetrics().averageCharWidth() * _WIDTH_IN_LETTERS)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(middle, 10)
        row.addStretch(1)
        outer = QVBoxLayout(self)
        outer.addStretch(1)
        outer.addLayout(row)
        outer.addStretch(2)

    def show_state(self, state: EmptyState) -> None:
        """Show a state."""
        if state == self._state:
            return
        before, self._state = self._state, state
        self._title.setText(state.title)
        self._text.setText(state.text)
        self._command.setText(state.command)
        self._command.setVisible(bool(state.command))
        self._copy.setVisible(bool(state.command))
        self._progress.hide()
        if before is None or state.actions != before.actions:
            self._make_buttons(state.actions)

    def _make_buttons(self, actions: Sequence[EmptyAction]) -> None:
        """Make the buttons in place of the earlier ones; the focus stays on a button."""
        had_focus = False
        while (item := self._buttons.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                had_focus = had_focus or self.window().focusWidget() is widget
                widget.deleteLater()
        self._buttons.addStretch(1)
        for number, action in enumerate(actions):
            button = QPushButton(action.value)
            button.setDefault(number == 0)
            button.clicked.connect(lambda _=False, chosen=action: self.pressed.emit(chosen))
            self._buttons.addWidget(button)
            if had_focus and number == 0:
                button.setFocus()
        self._buttons.addStretch(1)

    def show_progress(self, text: str) -> None:
        """Show that work is going on; an empty text ends it."""
        self._progress.setVisible(bool(text))
        for row in range(self._buttons.count()):
            item = self._buttons.itemAt(row)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.setEnabled(not text)
        if text:
            self._text.setText(text)
        elif self._state is not None:
            self._text.setText(self._state.text)

    def _copy_command(self) -> None:
        QGuiApplication.clipboard().setText(self._command.text())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        event.acceptProposedAction()
        self.files_dropped.emit([Path(url.toLocalFile()) for url in urls if url.isLocalFile()])


def _label() -> QLabel:
    label = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
    label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    return label
