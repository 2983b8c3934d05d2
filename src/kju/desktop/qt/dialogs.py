"""Dialogs of the app: a question with its details, and a form with checked names.

Both are opened without a loop of their own, so the window stays alive behind them. Their texts are
plain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ...escaping import lines, one_line
from ...viewers.qt.palette import GRID, plain_action

#: Characters of a line at the dialogs' usual width.
_WIDTH = 56
#: Lines of a question before it scrolls.
_MAX_LINES = 14


class Question(QDialog):
    """A question whose answer is one button or Cancel.

    Args:
        parent: The window.
        title: The window's title.
        text: The question; its first line names the action.
        button: The word of the button that does it.
        then: Called if that is pressed.
        choice: A box to tick; empty for none.
        other: A question for the ticked box, in place of *text*.
    """

    def __init__(
        self,
        parent: QWidget,
        title: str,
        text: str,
        button: str,
        then: Callable[[bool], object],
        *,
        choice: str = "",
        other: str = "",
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(one_line(title))
        self._text, self._other = lines(text), lines(other or text)
        self.label = QLabel(self._text, textFormat=Qt.TextFormat.PlainText, wordWrap=True)
        self.label.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.label.setMargin(GRID)
        self.box = QCheckBox(plain_action(choice))
        self.box.setVisible(bool(choice))
        self.box.toggled.connect(self._show_text)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.accepted_button = QPushButton(plain_action(button))
        self.accepted_button.setAutoDefault(False)
        buttons.addButton(self.accepted_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        # Enter must not remove anything by chance.
        buttons.button(QDialogButtonBox.StandardButton.Cancel).setDefault(True)
        self.accepted.connect(lambda: then(self.box.isChecked()))
        layout = QVBoxLayout(self)
        layout.addWidget(_scrolled(self.label))
        layout.addWidget(self.box)
        layout.addWidget(buttons)
        self.open()

    def _show_text(self, ticked: bool) -> None:
        self.label.setText(self._other if ticked else self._text)


def _scrolled(label: QLabel) -> QScrollArea:
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QScrollArea.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(label)
    metrics = label.fontMetrics()
    screen = label.screen().availableSize()
    width = min(metrics.averageCharWidth() * _WIDTH, screen.width() * 3 // 4)
    wanted = label.heightForWidth(width - 2 * GRID) + GRID
    height = min(wanted, metrics.lineSpacing() * _MAX_LINES, screen.height() // 2)
    area.setMinimumSize(width, height)
    return area


class FormLine(NamedTuple):
    """One line of a form.

    Attributes:
        label: Its name.
        value: The proposed text.
        fault: Returns why a text cannot be used; empty if it can.
    """

    label: str
    value: str
    fault: Callable[[str], str] = lambda text: ""


class Form(QDialog):
    """Fields that are checked while they are typed, and boxes to tick.

    Args:
        parent: The window.
        title: The window's title.
        text: An explanation; may be empty.
        fields: The fields; each has a line for its fault.
        button: The word of the button that accepts them.
        then: Called with the texts and the ticks.
        boxes: Boxes to tick, and whether they are at first. The fields of a form with a box
            belong to it: they count while it is ticked.
    """

    def __init__(
        self,
        parent: QWidget,
        title: str,
        text: str,
        fields: Sequence[FormLine],
        button: str,
        then: Callable[[list[str], list[bool]], object],
        boxes: Sequence[tuple[str, bool]] = (),
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(one_line(title))
        self._fields = fields
        self.edits: list[QLineEdit] = []
        self.faults: list[QLabel] = []
        self.boxes = [QCheckBox(plain_action(label)) for label, _ in boxes]
        self._ok = QPushButton(plain_action(button), default=True)
        layout = QVBoxLayout(self)
        if text:
            explained = QLabel(lines(text), textFormat=Qt.TextFormat.PlainText, wordWrap=True)
            layout.addWidget(explained)
        for box, (_, ticked) in zip(self.boxes, boxes, strict=True):
            box.setChecked(ticked)
            box.toggled.connect(self._check)
            layout.addWidget(box)
        layout.addLayout(self._make_rows())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton(self._ok, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout.addWidget(buttons)
        self.setMinimumWidth(
            min(
                self.fontMetrics().averageCharWidth() * _WIDTH,
                self.screen().size().width() * 3 // 4,
            )
        )
        self.accepted.connect(lambda: then(self._texts(), [box.isChecked() for box in self.boxes]))
        self._check()
        self.open()
        if self.edits:
            self.edits[0].setFocus()
            self.edits[0].selectAll()

    def _make_rows(self) -> QFormLayout:
        rows = QFormLayout()
        rows.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        for field in self._fields:
            edit = QLineEdit(field.value)
            edit.setAccessibleName(one_line(field.label))
            edit.textChanged.connect(self._check)
            label = QLabel(plain_action(field.label), textFormat=Qt.TextFormat.PlainText)
            label.setBuddy(edit)
            fault = QLabel(textFormat=Qt.TextFormat.PlainText, wordWrap=True)
            rows.addRow(label, edit)
            rows.addRow("", fault)
            self.edits.append(edit)
            self.faults.append(fault)
        return rows

    def _texts(self) -> list[str]:
        """Return the texts of the fields."""
        return [edit.text().strip() for edit in self.edits]

    def _check(self) -> None:
        counts = all(box.isChecked() for box in self.boxes[:1])
        good = True
        for field, edit, shown in zip(self._fields, self.edits, self.faults, strict=True):
            edit.setEnabled(counts)
            fault = field.fault(edit.text().strip()) if counts else ""
            shown.setText(one_line(fault))
            edit.setAccessibleDescription(one_line(fault))
            good = good and not fault
        self._ok.setEnabled(good)
