"""Questions to the user: a line of text that is checked while it is typed, and a confirmation.

Neither blocks: the answer comes by a call. The window loses the keyboard focus meanwhile, so the
guest's keys are released.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLineEdit,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from ...escaping import one_line
from .palette import GRID, plain_action, wrapped_label


class AskText(QDialog):
    """Asks for a line of text.

    Args:
        parent: The window.
        title: The dialog's title, and the name of its button.
        question: The question.
        first: The text at first, selected.
        check: Returns the reason why a text cannot be taken; empty where it can.
        done: Called with the text.
    """

    def __init__(
        self,
        parent: QWidget,
        title: str,
        question: str,
        first: str,
        check: Callable[[str], str],
        done: Callable[[str], object],
    ) -> None:
        super().__init__(parent)
        self._check = check
        self.setWindowTitle(one_line(title))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.line = QLineEdit(first)
        self.line.setAccessibleName(question)
        self.line.selectAll()
        self._problem = wrapped_label("")
        cancel = QDialogButtonBox.StandardButton.Cancel
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | cancel)
        self._ok = self._buttons.button(QDialogButtonBox.StandardButton.Ok)
        self._ok.setText(plain_action(title))
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self.accepted.connect(lambda: done(self.line.text().strip()))
        self.line.textChanged.connect(self._validate)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        column.setSpacing(GRID)
        column.addWidget(wrapped_label(question))
        column.addWidget(self.line)
        column.addWidget(self._problem)
        column.addWidget(self._buttons)
        self._validate(first)

    def _validate(self, text: str) -> None:
        problem = self._check(text.strip())
        self._problem.setText(one_line(problem))
        self._problem.setAccessibleName(one_line(problem))
        self._ok.setEnabled(not problem)


def confirm(
    parent: QWidget, question: str, detail: str, verb: str, done: Callable[[], object]
) -> QMessageBox:
    """Ask once before something that cannot be undone; Cancel is the default.

    Args:
        parent: The window.
        question: The question.
        detail: What will be lost.
        verb: The name of the button that does it.
        done: Called where the user agrees.
    """
    box = QMessageBox(parent)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setWindowTitle(one_line(verb))
    box.setText(one_line(question))
    box.setInformativeText(one_line(detail))
    yes = box.addButton(plain_action(verb), QMessageBox.ButtonRole.DestructiveRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(cancel)
    box.setEscapeButton(cancel)
    yes.clicked.connect(lambda: done())
    box.open()
    return box
