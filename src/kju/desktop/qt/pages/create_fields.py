"""The widgets of the create page: one row for each field, with its error below; folds."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...pages.create import FieldKind, FormField

#: The grid, in Qt's pixels.
GRID = 8
_LINES_SHOWN = 3


def plain_label(text: str = "") -> QLabel:
    """Return a label for plain text, which wraps: by default Qt draws HTML."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setText(text)
    return label


class NoticeLabel(QWidget):
    """A sign and a text; hidden while the text is empty."""

    def __init__(self) -> None:
        super().__init__()
        self._icon, self._text = QLabel(), plain_label()
        # A text without spaces, such as a long path, must not widen the page.
        self._text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(GRID)
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._text, 1)
        self.hide()

    @property
    def text(self) -> str:
        """The text."""
        return self._text.text()

    def show_text(self, text: str, sign: QStyle.StandardPixmap) -> None:
        """Show a text with a sign; hide both if it is empty."""
        size = QFontMetrics(self.font()).height()
        self._icon.setPixmap(self.style().standardIcon(sign).pixmap(size, size))
        self._text.setText(_breakable(text))
        self._text.setAccessibleName(text)
        self.setVisible(bool(text))


def _breakable(text: str) -> str:
    """Return a text that can be wrapped after each part of a path."""
    return text.replace("/", "/\N{ZERO WIDTH SPACE}")


class FieldRow(QWidget):
    """A field's widget, and its error below.

    Args:
        field: The field.
    """

    #: The user has changed the value.
    edited = Signal(str, object)
    #: Return was pressed in a line.
    entered = Signal()

    def __init__(self, field: FormField) -> None:
        super().__init__()
        self.field = field
        self.error = NoticeLabel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID // 2)
        line = QHBoxLayout()
        line.setSpacing(GRID)
        self._get: Callable[[], str | bool]
        self._set: Callable[[str | bool], None]
        self.editor = self._make_editor()
        self.editor.setAccessibleName(field.label)
        self.editor.setToolTip(field.tip)
        line.addWidget(self.editor, 1)
        if field.kind is FieldKind.FILE:
            line.addWidget(self._make_browse())
        column.addLayout(line)
        column.addWidget(self.error)

    @property
    def value(self) -> str | bool:
        """The value in the widget."""
        return self._get()

    def show_value(self, value: str | bool) -> None:
        """Show a value, without a signal; a cursor stays where it is if nothing changes."""
        if self.value != value:
            with QSignalBlocker(self.editor):
                self._set(value)

    def show_error(self, text: str) -> None:
        """Show an error below the widget; an empty text hides it."""
        self.error.show_text(text, QStyle.StandardPixmap.SP_MessageBoxWarning)
        self.editor.setAccessibleDescription(text or self.field.tip)

    # -- widgets

    def _make_editor(self) -> QWidget:
        field = self.field
        if field.kind is FieldKind.SWITCH:
            return self._make_switch()
        if field.kind is FieldKind.LINES:
            return self._make_lines()
        if field.choices:
            return self._make_choice(editable=field.kind is FieldKind.FILE)
        line = QLineEdit()
        line.setPlaceholderText(field.hint)
        line.textEdited.connect(self._tell)
        line.returnPressed.connect(self.entered)
        self._get, self._set = line.text, lambda value: line.setText(str(value))
        return line

    def _make_switch(self) -> QWidget:
        box = QCheckBox(self.field.label)
        box.toggled.connect(self._tell)
        self._get, self._set = box.isChecked, lambda value: box.setChecked(bool(value))
        return box

    def _make_lines(self) -> QWidget:
        lines = QPlainTextEdit()
        lines.setPlaceholderText(self.field.hint)
        lines.setTabChangesFocus(True)
        height = lines.fontMetrics().lineSpacing() * _LINES_SHOWN
        lines.setFixedHeight(height + 2 * GRID)
        lines.textChanged.connect(self._tell)
        self._get, self._set = lines.toPlainText, lambda value: lines.setPlainText(str(value))
        return lines

    def _make_choice(self, *, editable: bool) -> QWidget:
        box = QComboBox()
        box.setEditable(editable)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.setMinimumContentsLength(8)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        for choice, words in self.field.choices:
            box.addItem(words, choice)
        if editable:
            box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
            box.currentTextChanged.connect(self._tell)
            if (line := box.lineEdit()) is not None:
                line.returnPressed.connect(self.entered)
                line.setAccessibleName(self.field.label)
            self._get, self._set = box.currentText, lambda value: box.setCurrentText(str(value))
        else:
            box.currentIndexChanged.connect(self._tell)
            self._get = lambda: str(box.currentData())
            self._set = lambda value: box.setCurrentIndex(max(0, box.findData(value)))
        return box

    def _make_browse(self) -> QWidget:
        button = QPushButton("Browse...")
        button.setAccessibleName(f"Choose a file: {self.field.label}")
        button.setAutoDefault(False)
        button.clicked.connect(self._browse)
        return button

    def _browse(self) -> None:
        dialog = QFileDialog(self.window(), f"{self.field.label}: choose a file")
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._take_path)
        dialog.open()

    def _take_path(self, path: str) -> None:
        self.show_value(path)
        self._tell()

    def _tell(self) -> None:
        self.edited.emit(self.field.key, self.value)


class Fold(QWidget):
    """A heading that shows and hides the widget below it.

    Args:
        title: The heading.
        content: The widget below.
    """

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self.content = content
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setAutoRaise(True)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.toggled.connect(self._show)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GRID)
        column.addWidget(self.button)
        column.addWidget(content)
        self._show(False)

    def open(self) -> None:
        """Show the content."""
        self.button.setChecked(True)

    def _show(self, on: bool) -> None:
        self.content.setVisible(on)
        self.button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
