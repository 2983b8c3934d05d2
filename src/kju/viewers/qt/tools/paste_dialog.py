"""Widgets of a paste: the question before it, and the bar that shows its progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QKeyEvent, QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from ....escaping import lines, one_line
from ...tools.paste import GroupPlan, PastePlan, counted, layout_choices
from ...tools.paste_run import PasteResult, PasteRun, PasteTarget
from ..contrast import OverlayFrame
from ..palette import GRID, fixed_font, use_role

#: Characters that the preview shows.
_SHOWN = 20_000


class PasteDialog(QDialog):
    """The question before a text is typed: the layout, the text, and what cannot be typed.

    Args:
        text: The text.
        layouts: The name of the layout that is proposed for each machine.
        parent: The parent widget.

    Attributes:
        plan: The plan of the present choice.
    """

    def __init__(
        self, text: str, layouts: Mapping[str, str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._text, self._own = text, dict(layouts)
        self.plan = GroupPlan(text, layouts)
        where = next(iter(layouts)) if len(layouts) == 1 else f"{len(layouts)} machines"
        self.setWindowTitle(one_line(f"Type text in {where}", 120))
        self._layouts = self._make_choice()
        self._layouts.currentIndexChanged.connect(self._update)
        self._preview = _preview(text)
        self._summary, self._warning = _label(), _label()
        self._icon = QLabel()
        size = self.style().pixelMetric(QStyle.PixelMetric.PM_SmallIconSize)
        warning = self.style().standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        self._icon.setPixmap(warning.pixmap(size))
        self._omit = QCheckBox("&Leave these characters out")
        self._omit.toggled.connect(self._update)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self._type = self._buttons.addButton("&Type", QDialogButtonBox.ButtonRole.AcceptRole)
        self._type.setDefault(True)
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._arrange()
        self._update()
        self._type.setFocus()

    def _make_choice(self) -> QComboBox:
        choice = QComboBox()
        chosen = set(self._own.values())
        if len(chosen) > 1:
            choice.addItem(f"Each machine's own ({one_line(self.plan.layout_words, 200)})", None)
        for name, title in layout_choices():
            choice.addItem(f"{title} \N{EN DASH} {name}", name)
        if len(chosen) == 1:
            choice.setCurrentIndex(choice.findData(chosen.pop()))
        # A long item must not widen the dialog beyond the display.
        choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        choice.setMinimumContentsLength(20)
        choice.setAccessibleName(self._layout_label)
        return choice

    @property
    def _layout_label(self) -> str:
        return f"Keyboard layout of the guest{'s' * (len(self._own) > 1)}"

    def _arrange(self) -> None:
        form = QFormLayout()
        form.addRow(f"&{self._layout_label}:", self._layouts)
        warned = QHBoxLayout()
        warned.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        warned.addWidget(self._warning, 1)
        column = QVBoxLayout(self)
        column.setSpacing(GRID)
        column.addLayout(form)
        column.addWidget(self._preview, 1)
        column.addWidget(self._summary)
        column.addLayout(warned)
        column.addWidget(self._omit)
        column.addWidget(self._buttons)
        self.resize(560, 400)

    def _update(self) -> None:
        name = self._layouts.currentData()
        layouts = self._own if name is None else dict.fromkeys(self._own, str(name))
        self.plan = GroupPlan(self._text, layouts)
        lacking = self.plan.lacks
        self._warning.setText(lines(self.plan.warning))
        for widget in (self._icon, self._warning, self._omit):
            widget.setVisible(lacking)
        if lacking and self._omit.isChecked():
            self.plan = self.plan.without_missing()
        self._type.setEnabled(self.plan.is_complete)
        self._summary.setText(self.plan.summary)


class PasteBar(OverlayFrame):
    """A bar over a view while a text is typed; Esc and the button cancel.

    It has the focus, so that the user's own keys do not come between those of the text.

    Args:
        view: The view.
        back: The widget that gets the focus afterwards; its keys do nothing meanwhile.
        plans: The text for each machine.
        post: Calls a function on Qt's thread.
    """

    ended = Signal(object)

    def __init__(
        self,
        view: QWidget,
        back: QWidget,
        plans: Mapping[PasteTarget, PastePlan],
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(view)
        self._view, self._back = view, back
        self._where = f" in {len(plans)} machines" if len(plans) > 1 else ""
        use_role(self, QPalette.ColorRole.Base, QPalette.ColorRole.Text)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName("Typing")
        self._words = _label()
        self._words.setForegroundRole(QPalette.ColorRole.Text)
        self._progress = QProgressBar()
        self._progress.setRange(0, max(len(plan.text) for plan in plans.values()))
        self._progress.setTextVisible(False)
        self._progress.setAccessibleName("Typed characters")
        self._cancel = QPushButton("Cancel (Esc)")
        self._cancel.clicked.connect(self._stop)
        column, row = QVBoxLayout(self), QHBoxLayout()
        column.setContentsMargins(GRID, GRID, GRID, GRID)
        column.setSpacing(GRID)
        column.addWidget(self._words)
        column.addLayout(row)
        row.addWidget(self._progress, 1)
        row.addWidget(self._cancel)
        self._show_progress(0)
        for watched in {view, back}:
            watched.installEventFilter(self)
        self._place()
        self.show()
        self.raise_()
        self._cancel.setFocus()
        self._cancel.installEventFilter(self)
        self._run = PasteRun(plans, post, self._show_progress, self._end)

    @property
    def has_focus(self) -> bool:
        """True while Esc in this bar cancels the typing."""
        return self._cancel.hasFocus()

    def cancel(self) -> None:
        """Cancel the typing; `ended` follows when every key is up."""
        self._stop()

    def stop(self) -> None:
        """Cancel the typing, and wait until it has ended: the window closes."""
        self._run.close()

    def _stop(self) -> None:
        self._cancel.setEnabled(False)
        self._words.setText("Releasing the keys")
        self._run.cancel()

    def _show_progress(self, done: int) -> None:
        self._progress.setValue(done)
        total = counted(self._progress.maximum(), "character")
        self._words.setText(f"Typed {done:,} of {total}{self._where}")

    def _end(self, result: PasteResult) -> None:
        for watched in {self._view, self._back}:
            watched.removeEventFilter(self)
        had_focus = self.isAncestorOf(self.focusWidget() or self) or self._cancel.hasFocus()
        self.close()
        if had_focus:
            self._back.setFocus()
        self.ended.emit(result)

    def _place(self) -> None:
        width = min(self._view.width() - 2 * GRID, 640)
        layout = self.layout()
        # The words take two lines where the view is narrow.
        height = layout.totalHeightForWidth(width) if layout else self.sizeHint().height()
        self.setGeometry(
            (self._view.width() - width) // 2, self._view.height() - height - 2 * GRID,
            width, height,
        )  # fmt: skip

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and source is self._view:
            self._place()
        if isinstance(event, QKeyEvent):
            # Neither the button's Space nor a key for the guest: only Esc counts.
            if event.type() == QEvent.Type.KeyPress and event.key() == Qt.Key.Key_Escape:
                self._stop()
            if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
                return True
            return source is not self._cancel
        return False


def _preview(text: str) -> QPlainTextEdit:
    preview = QPlainTextEdit()
    preview.setReadOnly(True)
    preview.setTabChangesFocus(True)
    preview.setFont(fixed_font())
    preview.setAccessibleName("Text to type")
    more = f"\n({len(text) - _SHOWN:,} more characters)" if len(text) > _SHOWN else ""
    preview.setPlainText(lines(text[:_SHOWN]) + more)
    return preview


def _label() -> QLabel:
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
