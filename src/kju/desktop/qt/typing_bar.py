"""Typing into all selected machines: a bar with the progress, and a red border around the page.

While it is on, every key of the window goes to the machines, shortcuts included; Esc ends it. A
text from the clipboard is typed by `Pasting`, as in a console: Esc cancels that first.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPalette,
)
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from ...escaping import one_line
from ...keys import from_x11
from ...viewers.input.grab import HOLD_MS, KeyEvent, Repeats
from ...viewers.qt.background import QtBackground
from ...viewers.qt.contrast import has_high_contrast
from ...viewers.qt.palette import GRID, tool_button, wrapped_label
from ...viewers.qt.tools.pasting import Pasting
from ...viewers.tools.paste_run import PasteResult, PasteTarget
from ..actions import ActionRunner
from ..machines.entry import MachineEntry
from ..type_to_all import END_KEY, TypeToAll, TypingPhase

#: The border must be seen whatever the palette is, so its colour is fixed: 3:1 and more against
#: Qt's light and dark windows. With high contrast it has stripes in the colour of the text.
_BORDER, _BORDER_WIDTH = QColor(240, 70, 70), 4
_STRIPES = Qt.BrushStyle.BDiagPattern
_LEAVES_WINDOW = (
    Qt.FocusReason.ActiveWindowFocusReason,
    Qt.FocusReason.PopupFocusReason,
    Qt.FocusReason.MenuBarFocusReason,
)


class TypingBar(QFrame):
    """The bar; it is hidden while nothing is typed.

    Args:
        runner: Connects and disconnects.
        page: The page that gets the border.
        over: The part of it over which the progress of a paste is shown.

    Attributes:
        typing: The machines, and the keys that are down in them.
        pasting: Types a text in them.
    """

    #: The typing has ended.
    ended = Signal()

    def __init__(self, runner: ActionRunner, page: QWidget, over: QWidget) -> None:
        super().__init__(page)
        self.typing = TypeToAll(runner, QtBackground(self).post, self._show_state)
        self.pasting = Pasting(over, self, self._show_note)
        self.pasting.ended.connect(self._paste_ended)
        self._note = ""
        self._repeats = Repeats()
        self._releases = QTimer(self, singleShot=True, interval=HOLD_MS)
        self._releases.timeout.connect(lambda: self._report(self._repeats.flush()))
        self._border = _Border(page)
        self.label = wrapped_label("")
        self.paste = tool_button("paste", "Paste into all", self)
        self.paste.clicked.connect(self._paste)
        self.end = tool_button("close", "End typing into all", self)
        self.end.clicked.connect(self.stop)
        for button in (self.paste, self.end):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys are the guests'
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Typing into all selected machines")
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID + _BORDER_WIDTH, GRID, GRID + _BORDER_WIDTH, GRID)
        row.setSpacing(GRID)
        row.addWidget(self.label, 1)
        row.addWidget(self.paste)
        row.addWidget(self.end)
        self.hide()

    def start(self, entries: Sequence[MachineEntry]) -> None:
        """Begin to type into these machines."""
        self._note = ""
        self.show()
        self.setFocus()
        self.typing.start(entries)

    def stop(self) -> None:
        """End the typing; a paste is cancelled, and no key stays down."""
        self.pasting.cancel()
        self.typing.stop()

    def shut(self) -> None:
        """End the typing, and wait until a paste has ended: the window closes."""
        self.pasting.close()
        self.typing.stop()

    def _show_note(self, note: str) -> None:
        self._note = note
        self._show_state()

    def _show_state(self) -> None:
        state = self.typing.state
        on = self.typing.is_on
        words = "\n".join(filter(None, (state.words, one_line(self._note))))
        self.label.setText(words)
        self.label.setAccessibleName(words)
        self.paste.setEnabled(state.phase is TypingPhase.ON and bool(state.machines))
        self._border.setVisible(on)
        self._border.raise_()
        if not on and not self.isHidden():
            self.hide()
            self.ended.emit()

    def _paste(self) -> None:
        self.typing.release_all()
        targets = [PasteTarget(key.name) for key in self.typing.state.machines]
        self.pasting.begin(QGuiApplication.clipboard().text(), targets)

    def _paste_ended(self, result: PasteResult | None) -> None:
        for target, reason in result.errors.items() if result else ():
            self.typing.leave_out(target.machine, reason)
        self._check_focus()

    # ---- Keys

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride and self.typing.is_on:
            event.accept()  # a shortcut of the window is a key for the guests
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        code, time = event.nativeScanCode(), event.timestamp()
        self._report(self._repeats.press(code, time, event.isAutoRepeat()))

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        code, time = event.nativeScanCode(), event.timestamp()
        self._report(self._repeats.release(code, time, event.isAutoRepeat()))
        self._releases.start()

    def _report(self, events: list[KeyEvent]) -> None:
        for code, down, repeat in events:
            number = from_x11(code)
            if number is None:
                continue
            if not self.pasting.is_busy:
                self.typing.key(number, down, repeat)
            elif number == END_KEY and down:
                self.pasting.cancel()

    def focusNextPrevChild(self, forward: bool) -> bool:
        return not self.typing.is_on and super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._report(self._repeats.flush())
        self.typing.release_all()
        if event.reason() not in _LEAVES_WINDOW:
            self._check_focus()

    def _check_focus(self) -> None:
        """End the typing if another part of this window has the focus.

        A dialog or another window takes it for a while. Another part of this window keeps it, and
        its keys would be commands there. While a text is typed, the progress has it.
        """
        window = self.window()
        taken = window.focusWidget() not in (None, self) and not self.pasting.is_busy
        if self.typing.is_on and taken:
            self.stop()


class _Border(QWidget):
    """A red border around a page, which takes no events."""

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setGeometry(page.rect())
        page.installEventFilter(self)
        self.hide()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and isinstance(watched, QWidget):
            self.setGeometry(watched.rect())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, width = QPainter(self), _BORDER_WIDTH
        stripes = QBrush(self.palette().color(QPalette.ColorRole.Text), _STRIPES)
        for part in (
            self.rect().adjusted(0, 0, 0, width - self.height()),
            self.rect().adjusted(0, self.height() - width, 0, 0),
            self.rect().adjusted(0, 0, width - self.width(), 0),
            self.rect().adjusted(self.width() - width, 0, 0, 0),
        ):
            painter.fillRect(part, _BORDER)
            if has_high_contrast():
                painter.fillRect(part, stripes)
