"""The two parts of the create page: the fields with the command line, and the foot with Start."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from ...pages.create import CreateForm, FieldKind
from .create_fields import GRID, FieldRow, Fold, NoticeLabel, plain_label

_TITLE_SIZE = 1.3
#: The width of the form, in letters of its font.
_LETTERS = 96
_COMMAND_LINES, _REASON_LINES = 5, 8


class CreateView(QScrollArea):
    """The fields and the command line.

    Attributes:
        rows: The rows of the fields, by key.
    """

    #: The user has changed a field.
    edited = Signal(str, object)
    #: Return was pressed in a line.
    entered = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, FieldRow] = {}
        self._title = plain_label()
        font = self._title.font()
        font.setPointSizeF(font.pointSizeF() * _TITLE_SIZE)
        font.setBold(True)
        self._title.setFont(font)
        self._basic, self._advanced = QWidget(), QWidget()
        self._fold = Fold("Advanced", self._advanced)
        self._command = _text_box("QEMU's command line")
        self._reasons = _text_box("The reasons for the arguments")
        self._content = self._laid_out()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        centre = QWidget()
        row = QHBoxLayout(centre)
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch(1)
        row.addWidget(self._content, 1000)
        row.addStretch(1)
        self.setWidget(centre)
        # The page's own background.
        self.viewport().setAutoFillBackground(False)
        centre.setAutoFillBackground(False)
        self._fit_to_font()

    def _fit_to_font(self) -> None:
        """Set the sizes that follow the font's."""
        self._content.setMaximumWidth(self.fontMetrics().averageCharWidth() * _LETTERS)
        fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        fixed.setPointSizeF(self.font().pointSizeF())
        self._command.setFont(fixed)
        for box, lines in ((self._command, _COMMAND_LINES), (self._reasons, _REASON_LINES)):
            box.setFixedHeight(box.fontMetrics().lineSpacing() * lines + 2 * GRID)

    def _laid_out(self) -> QWidget:
        copy = QPushButton("Copy")
        copy.setAccessibleName("Copy the command line")
        copy.clicked.connect(
            lambda: QGuiApplication.clipboard().setText(self._command.toPlainText())
        )
        head = QHBoxLayout()
        head.setSpacing(GRID)
        head.addWidget(plain_label("QEMU's command line"), 1)
        head.addWidget(copy)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(2 * GRID, 2 * GRID, 2 * GRID, 2 * GRID)
        column.setSpacing(2 * GRID)
        for widget in (self._title, self._basic, self._fold):
            column.addWidget(widget)
        command = QVBoxLayout()
        command.setSpacing(GRID)
        command.addLayout(head)
        command.addWidget(self._command)
        column.addLayout(command)
        column.addWidget(Fold("Why these arguments", self._reasons))
        column.addStretch(1)
        return content

    def show_title(self, title: str) -> None:
        """Show the page's title."""
        self._title.setText(title)

    def show_fields(self, form: CreateForm) -> None:
        """Make the rows of a form's fields, in place of the earlier ones."""
        self.rows = {}
        for widget, advanced in ((self._basic, False), (self._advanced, True)):
            fields = [field for field in form.fields if field.advanced is advanced]
            made = [FieldRow(field) for field in fields]
            for row in made:
                row.edited.connect(self.edited)
                row.entered.connect(self.entered)
                self.rows[row.field.key] = row
            _fill(widget, made)
        self.rows["name"].editor.setEnabled(form.is_new)
        if any(form.values[key] for key, row in self.rows.items() if row.field.advanced):
            self._fold.open()

    def refresh(self, form: CreateForm, errors: dict[str, str]) -> None:
        """Show a form's values, errors and command line."""
        for key, row in self.rows.items():
            row.show_value(form.values[key])
            row.show_error(errors.get(key, ""))
            if errors.get(key) and row.field.advanced:
                self._fold.open()
        self._command.setPlaceholderText(form.command_hint)
        _show(self._command, form.command_line)
        _show(self._reasons, "\n".join(f"{what}\n    {why}" for what, why in form.reasons))

    def set_usable(self, on: bool) -> None:
        """Let the user change the fields, or not."""
        self._content.setEnabled(on)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange and self.widget() is not None:
            self._fit_to_font()

    def sizeHint(self) -> QSize:
        return QSize(self._content.maximumWidth(), 32 * self.fontMetrics().lineSpacing())


class Foot(QFrame):
    """The messages about the whole form, and the buttons."""

    #: The user wants the machine; True: started, too.
    ordered = Signal(bool)
    cancelled = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._warning, self._note = NoticeLabel(), NoticeLabel()
        self.start, self.save, self.cancel = QPushButton(), QPushButton(), QPushButton("Cancel")
        self.start.clicked.connect(lambda: self.ordered.emit(True))
        self.save.clicked.connect(lambda: self.ordered.emit(False))
        self.cancel.clicked.connect(self.cancelled)
        self.start.setDefault(True)
        self.start.setToolTip("Ctrl+Return")
        self.save.setToolTip("Ctrl+S")
        self.cancel.setToolTip("Esc")
        buttons = QHBoxLayout()
        buttons.setSpacing(GRID)
        buttons.addWidget(self.cancel)
        buttons.addStretch(1)
        buttons.addWidget(self.save)
        buttons.addWidget(self.start)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        column.setSpacing(GRID)
        column.addWidget(self._warning)
        column.addWidget(self._note)
        column.addLayout(buttons)

    def show_machine(self, *, new: bool, running: bool) -> None:
        """Set the buttons' words for a new, a defined or a running machine."""
        self.start.setText("Start" if new else "Save and start")
        self.save.setText("Create only" if new else "Save")
        self.start.setVisible(not running)

    def refresh(self, error: str, notes: list[str]) -> None:
        """Show the error and the notes."""
        sign = QStyle.StandardPixmap
        self._warning.show_text(error, sign.SP_MessageBoxWarning)
        self._note.show_text(" ".join(notes), sign.SP_MessageBoxInformation)


def _text_box(name: str) -> QPlainTextEdit:
    box = QPlainTextEdit()
    box.setReadOnly(True)
    box.setTabChangesFocus(True)
    box.setAccessibleName(name)
    return box


def _fill(widget: QWidget, rows: list[FieldRow]) -> None:
    """Lay out rows in a form, in place of the earlier ones."""
    if (old := widget.layout()) is not None:
        direct = Qt.FindChildOption.FindDirectChildrenOnly
        for child in widget.findChildren(QWidget, options=direct):
            child.hide()
            child.deleteLater()
        QWidget().setLayout(old)  # which deletes it
    layout = QFormLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(GRID)
    layout.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    for row in rows:
        label = QLabel("" if row.field.kind is FieldKind.SWITCH else row.field.label)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setBuddy(row.editor)
        # Beside the widget's first line, not in the middle of the widget and its error.
        label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeading)
        label.setContentsMargins(0, _line_margin(label), 0, 0)
        layout.addRow(label, row)


def _line_margin(label: QLabel) -> int:
    """Return the space above the text of a line edit."""
    line = QLineEdit()
    line.setFont(label.font())
    return max(0, (line.sizeHint().height() - label.fontMetrics().height()) // 2)


def _show(box: QPlainTextEdit, text: str) -> None:
    if box.toPlainText() != text:
        box.setPlainText(text)
