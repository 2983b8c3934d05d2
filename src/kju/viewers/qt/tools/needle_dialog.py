"""The dialogs after a rectangle was chosen: save it as a needle, or show the text in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ....errors import KjuError
from ....escaping import lines, one_line
from ....surface.geometry import Rect
from ....vision.needle import SIMILARITY, Needle
from ...tools.needle_form import MARGIN, NeedleForm
from ...tools.screen_text import ScreenText
from ..background import QtBackground
from ..palette import GRID, fixed_font

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_PREVIEW = QSize(480, 200)


class NeedleDialog(QDialog):
    """Save a rectangle of a screen as a needle.

    Args:
        machine: The machine's name.
        picture: A copy of the whole screen, B G R X or grey.
        rect: The needle, inside the picture.
        folder: The folder that is proposed.
        parent: The parent widget.

    Attributes:
        saved: The file, after it was written.
    """

    def __init__(
        self, machine: str, picture: Pixels, rect: Rect, folder: Path, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._machine, self._picture, self._rect = machine, picture, rect
        self.saved: Path | None = None
        self._background = QtBackground(self)
        self.setWindowTitle("Cut a needle")
        self._name, self._folder = QLineEdit(), QLineEdit(str(folder))
        self._name.setPlaceholderText("login-prompt")
        self._near = QCheckBox("&Search only near this place, within")
        self._near.setChecked(True)
        self._margin = QSpinBox(minimum=0, maximum=2000, value=MARGIN, suffix=" pixels")
        self._margin.setAccessibleName("Margin of the search")
        self._similarity = QDoubleSpinBox(minimum=0.5, maximum=1, singleStep=0.01, decimals=2)
        self._similarity.setValue(SIMILARITY)
        self._command = QLineEdit(readOnly=True)
        self._command.setFont(fixed_font())
        self._command.setAccessibleName("Command that waits for the needle")
        self._problem = QLabel()
        self._problem.setTextFormat(Qt.TextFormat.PlainText)
        self._problem.setWordWrap(True)
        self._buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        self._buttons.accepted.connect(self._save)
        self._buttons.rejected.connect(self.reject)
        self._arrange()
        self._name.textChanged.connect(self._update)
        self._folder.textChanged.connect(self._update)
        self._near.toggled.connect(self._update)
        self._margin.valueChanged.connect(self._update)
        self._update()
        self._name.setFocus()

    def _arrange(self) -> None:
        browse = QPushButton("&Browse\N{HORIZONTAL ELLIPSIS}")
        browse.clicked.connect(self._browse)
        place, near = QHBoxLayout(), QHBoxLayout()
        place.addWidget(self._folder, 1)
        place.addWidget(browse)
        near.addWidget(self._near)
        near.addWidget(self._margin)
        near.addStretch(1)
        copy = QPushButton("&Copy")
        copy.setAccessibleName("Copy the command")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._command.text()))
        command = QHBoxLayout()
        command.addWidget(self._command, 1)
        command.addWidget(copy)
        form = QFormLayout()
        form.addRow("&Name:", self._name)
        form.addRow("&Folder:", place)
        self._add_label(form, "&Folder:", self._folder)
        form.addRow("S&imilarity:", self._similarity)
        form.addRow("", near)
        form.addRow("Command:", command)
        column = QVBoxLayout(self)
        column.setSpacing(GRID)
        column.addWidget(_preview(self._picture, self._rect))
        column.addLayout(form)
        column.addWidget(self._problem)
        column.addWidget(self._buttons)
        self.resize(560, self.sizeHint().height())

    @staticmethod
    def _add_label(form: QFormLayout, words: str, buddy: QWidget) -> None:
        """Set the widget that a label's shortcut reaches, in a row of several widgets."""
        for row in range(form.rowCount()):
            item = form.itemAt(row, QFormLayout.ItemRole.LabelRole)
            label = item.widget() if item is not None else None
            if isinstance(label, QLabel) and label.text() == words:
                label.setBuddy(buddy)

    @property
    def form(self) -> NeedleForm:
        """The fields as they are now."""
        height, width = self._picture.shape[:2]
        return NeedleForm(
            self._machine,
            self._rect,
            (width, height),
            Path(self._folder.text()),
            self._name.text(),
            self._similarity.value(),
            self._margin.value() if self._near.isChecked() else -1,
        )

    def _update(self) -> None:
        form = self.form
        self._margin.setEnabled(self._near.isChecked())
        self._problem.setText("" if not form.name.strip() else form.problem)
        self._problem.setVisible(bool(self._problem.text()))
        self._command.setText("" if form.problem else one_line(form.command))
        self._command.setCursorPosition(0)
        self._buttons.button(QDialogButtonBox.StandardButton.Save).setEnabled(not form.problem)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of needles", self._folder.text())
        if folder:
            self._folder.setText(folder)

    def _save(self) -> None:
        form, picture = self.form, self._picture
        self._buttons.setEnabled(False)

        def work() -> str:
            try:
                needle = Needle.cut(picture, form.rect, similarity=form.similarity)
                needle.save(Path(form.path))
            except (KjuError, OSError) as error:
                return str(error)
            return ""

        self._background.run("needle", work, lambda reason: self._written(reason, Path(form.path)))

    def _written(self, reason: str, path: Path) -> None:
        self._buttons.setEnabled(True)
        if reason:
            self._problem.setText(one_line(reason))
            self._problem.show()
            return
        self.saved = path
        self.accept()


class TextDialog(QDialog):
    """Text that was read from a screen and copied; it can be corrected and copied again."""

    def __init__(self, result: ScreenText, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Copied text")
        note = QLabel(one_line(result.words[:1].upper() + result.words[1:]))
        note.setTextFormat(Qt.TextFormat.PlainText)
        note.setWordWrap(True)
        self._text = QPlainTextEdit(lines(result.text))
        self._text.setFont(fixed_font())
        self._text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._text.setTabChangesFocus(True)
        self._text.setAccessibleName("Text")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        again = buttons.addButton("&Copy again", QDialogButtonBox.ButtonRole.ActionRole)
        again.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(GRID)
        column.addWidget(note)
        column.addWidget(self._text, 1)
        column.addWidget(buttons)
        self.resize(560, 280)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._text.toPlainText())


def _preview(picture: Pixels, rect: Rect) -> QLabel:
    """Return a label with the rectangle, enlarged by a whole number where it is small."""
    part = np.ascontiguousarray(picture[rect.y : rect.bottom, rect.x : rect.right])
    grey = part.ndim == 2
    kind = QImage.Format.Format_Grayscale8 if grey else QImage.Format.Format_RGB32
    image = QImage(part.data, rect.width, rect.height, part.strides[0], kind).copy()
    times = min(_PREVIEW.width() // rect.width, _PREVIEW.height() // rect.height, 8)
    if times >= 1:
        image = image.scaled(rect.width * times, rect.height * times)
    else:
        image = image.scaled(
            _PREVIEW,
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
    label = QLabel()
    label.setPixmap(QPixmap.fromImage(image))
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    size = f"{rect.width} \N{MULTIPLICATION SIGN} {rect.height} pixels at {rect.x}, {rect.y}"
    label.setToolTip(size)
    label.setAccessibleName(f"The needle: {size}")
    return label
