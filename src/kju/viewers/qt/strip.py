"""The status strip below a picture: name and state of the keyboard, size and scale, buttons."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QIcon, QPalette, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from ..contract import Status
from . import icons
from .palette import GRID, PlainLabel, icon_label, tool_button, use_role

# Below this width, in widths of an "x", the strip shows no size and scale.
_NARROW = 70


class Strip(QWidget):
    """The strip of one window."""

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._left, self._right = icon_label(), PlainLabel(), PlainLabel()
        self._menu_button = tool_button("menu", "Menu")
        self._grabbed: bool | None = None
        use_role(self, QPalette.ColorRole.Window, QPalette.ColorRole.WindowText)
        self.setAccessibleName("Status")
        # The name and the state of the keyboard, which is highlighted while the guest has it.
        self._keyboard = QWidget()
        keyboard = QHBoxLayout(self._keyboard)
        keyboard.setContentsMargins(GRID, GRID // 4, GRID, GRID // 4)
        keyboard.setSpacing(GRID)
        keyboard.addWidget(self._lock)
        keyboard.addWidget(self._left, 1)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(GRID // 2)
        self._row.addWidget(self._keyboard, 1)
        self._row.addWidget(self._right)
        self._row.addWidget(self._menu_button)

    def add(self, widget: QWidget) -> None:
        """Add a widget before the menu's button."""
        self._row.insertWidget(self._row.count() - 1, widget)

    @property
    def menu_button(self) -> QToolButton:
        """The button of the menu."""
        return self._menu_button

    def show_status(self, status: Status) -> None:
        """Show a view's status."""
        self._left.set_text(status.left_text)
        self._right.set_text(status.right_text)
        if status.grabbed != self._grabbed:
            self._grabbed = status.grabbed
            self.refresh()

    def refresh(self) -> None:
        """Draw the state of the keyboard in the palette's present colours."""
        grabbed = bool(self._grabbed)
        icon, side = icons.icon("locked"), self.fontMetrics().height()
        self._lock.setVisible(grabbed and not icon.isNull())
        self._lock.setAccessibleName("The guest has the keyboard" if grabbed else "")
        size, ratio = QSize(side, side), self.devicePixelRatioF()
        self._lock.setPixmap(icon.pixmap(size, ratio, QIcon.Mode.Selected))
        roles = QPalette.ColorRole.Window, QPalette.ColorRole.WindowText
        if grabbed:
            roles = QPalette.ColorRole.Highlight, QPalette.ColorRole.HighlightedText
        use_role(self._keyboard, *roles)
        self._left.setForegroundRole(roles[1])

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._right.setVisible(self.width() > _NARROW * self.fontMetrics().horizontalAdvance("x"))
