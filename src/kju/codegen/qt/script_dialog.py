"""The dialog with a recorded script: its text, its form, and where it is."""

from __future__ import annotations

from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from ...errors import KjuError
from ...escaping import lines, one_line
from ...viewers.qt.palette import GRID, fixed_font, wrapped_label
from ..background import RecordedScript
from ..forms import STYLES, Style

_NAMES: dict[Style, str] = {
    "script": "A script",
    "pytest": "A test for pytest",
    "asyncio": "A script with asyncio",
}


class ScriptDialog(QDialog):
    """Show a recorded script, which is saved already; it can be copied, and get another form."""

    def __init__(self, recorded: RecordedScript, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recorded = recorded
        self.setWindowTitle("Recorded script")
        self._text = QPlainTextEdit(lines(recorded.source), readOnly=True)
        self._text.setFont(fixed_font())
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.setTabChangesFocus(True)
        self._text.setAccessibleName("Script")
        path = QLineEdit(one_line(str(recorded.path)), readOnly=True)
        path.setAccessibleName("File of the script")
        self._form = QComboBox()
        for style in STYLES:
            self._form.addItem(_NAMES[style], style)
        self._form.currentIndexChanged.connect(self._change_form)
        self._problem = wrapped_label("")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("&Copy", QDialogButtonBox.ButtonRole.ActionRole)
        copy.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow("Saved in:", path)
        form.addRow("&Form:", self._form)
        column = QVBoxLayout(self)
        column.setSpacing(GRID)
        column.addLayout(form)
        column.addWidget(self._text, 1)
        for note in recorded.notes:
            column.addWidget(_note(note))
        column.addWidget(self._problem)
        column.addWidget(buttons)
        self._show_problem("")
        self.resize(720, 420)
        self._text.setFocus()

    @property
    def text(self) -> str:
        """The script, as it is shown."""
        return self._text.toPlainText()

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text)

    def _change_form(self) -> None:
        recorder = self._recorded.recorder
        if recorder is None:
            return
        try:
            self._text.setPlainText(lines(recorder.save_as(self._form.currentData())))
        except KjuError as error:
            self._show_problem(str(error))
        else:
            self._show_problem("")

    def _show_problem(self, words: str) -> None:
        self._problem.setText(one_line(words))
        self._problem.setVisible(bool(words))


def _note(words: str) -> QLabel:
    label = wrapped_label(one_line(f"Note: {words}"))
    label.setMinimumHeight(label.sizeHint().height())
    return label
