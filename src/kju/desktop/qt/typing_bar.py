"""Typing into all selected machines: a bar with what is going on, and a red border around the page.

While it is on, every key of the window goes to the machines, shortcuts included; Esc ends it.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFocusEvent, QGuiApplication, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QWidget

from ...keys import from_x11
from ...viewers import settings
from ...viewers.input.grab import HOLD_MS, KeyEvent, Repeats
from ...viewers.qt.palette import GRID, tool_button, wrapped_label
from ..actions import ActionRunner
from ..machines.entry import MachineEntry
from ..type_to_all import TypeToAll
from .dialogs import Question
from .pages.snapshot_page import Poster

#: The border must be seen whatever the palette is, so its colour is fixed.
BORDER, BORDER_WIDTH = QColor(214, 31, 31), 4
#: Characters of a text at most, above which one is shown first, and of it that are shown.
MAX_TEXT, ASK_ABOVE, _PREVIEW = 1 << 20, 200, 2000
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

    Attributes:
        typing: The machines, and the keys that are down in them.
    """

    #: The typing has ended.
    ended = Signal()

    def __init__(self, runner: ActionRunner, page: QWidget) -> None:
        super().__init__(page)
        self.typing = TypeToAll(runner, Poster(self).post, self._show_state, layout_of=_layout_of)
        self._repeats = Repeats()
        self._releases = QTimer(self, singleShot=True, interval=HOLD_MS)
        self._releases.timeout.connect(lambda: self._report(self._repeats.flush()))
        self._border = _Border(page)
        self.label = wrapped_label("")
        self.paste = tool_button("paste", "Paste into all", self)
        self.paste.clicked.connect(self._paste)
        self.end = tool_button("close", "End typing into all", self)
        self.end.clicked.connect(self.typing.stop)
        for button in (self.paste, self.end):
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the keys are the guests'
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Typing into all selected machines")
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID + BORDER_WIDTH, GRID, GRID + BORDER_WIDTH, GRID)
        row.setSpacing(GRID)
        row.addWidget(self.label, 1)
        row.addWidget(self.paste)
        row.addWidget(self.end)
        self.hide()

    def start(self, entries: Sequence[MachineEntry]) -> None:
        """Begin to type into these machines."""
        self.show()
        self.setFocus()
        self.typing.start(entries)

    def _show_state(self) -> None:
        state = self.typing.state
        on = self.typing.is_on
        self.label.setText(state.words)
        self.label.setAccessibleName(state.words)
        self.paste.setEnabled(bool(state.machines))
        self._border.setVisible(on)
        self._border.raise_()
        if not on and not self.isHidden():
            self.hide()
            self.ended.emit()

    def _paste(self) -> None:
        text = QGuiApplication.clipboard().text()[:MAX_TEXT]
        self.typing.release_all()
        if len(text) <= ASK_ABOVE and "\n" not in text:
            self.typing.text(text)
            return
        lines = text.count("\n")
        enter = f", with Enter {lines} times" if lines else ""
        shown = text[:_PREVIEW] + ("\N{HORIZONTAL ELLIPSIS}" if len(text) > _PREVIEW else "")
        count = len(self.typing.state.machines)
        Question(
            self, "Paste into all",
            f"Type {len(text)} characters{enter} into {count} machine{'s' * (count != 1)}?"
            f"\n\n{shown}",
            "Type", lambda _: self.typing.text(text),
        )  # fmt: skip

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
            if (number := from_x11(code)) is not None:
                self.typing.key(number, down, repeat)

    def focusNextPrevChild(self, forward: bool) -> bool:
        return not self.typing.is_on and super().focusNextPrevChild(forward)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._report(self._repeats.flush())
        self.typing.release_all()
        # A dialog or another window takes the focus for a while. Another part of this window keeps
        # it, and its keys would be commands there: that ends the typing.
        if event.reason() not in _LEAVES_WINDOW:
            self.typing.stop()


def _layout_of(name: str) -> str:
    """Return the keyboard layout that is remembered for a machine; it reads a file."""
    return settings.load(name).layout or "us"


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
        painter = QPainter(self)
        width = BORDER_WIDTH
        for part in (
            self.rect().adjusted(0, 0, 0, width - self.height()),
            self.rect().adjusted(0, self.height() - width, 0, 0),
            self.rect().adjusted(0, 0, width - self.width(), 0),
            self.rect().adjusted(self.width() - width, 0, 0, 0),
        ):
            painter.fillRect(part, BORDER)
