"""The badge over a picture, as a widget: an icon, one line and at most one button."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from ...escaping import one_line
from ..badge import Badge
from ..machine_commands import MachineCommand
from . import icons
from .contrast import OverlayFrame
from .palette import GRID, PlainLabel, icon_label, plain_action, plain_tooltip, use_role

# The longest line, in widths of an "x": longer texts are cut, and whole in the tooltip.
_LONGEST = 90


class BadgeWidget(OverlayFrame):
    """Shows a `Badge` over its parent, as small as its text.

    Args:
        parent: The view.
        run: Called with the command of the button.
    """

    def __init__(self, parent: QWidget, run: Callable[[MachineCommand], None]) -> None:
        super().__init__(parent)
        self._run = run
        self._badge: Badge | None = None
        self._icon, self._text, self._button = icon_label(), PlainLabel(), QPushButton("Start")
        use_role(self, QPalette.ColorRole.Window, QPalette.ColorRole.WindowText)
        self._button.clicked.connect(self._clicked)
        self._button.setAutoDefault(True)
        self._row = row = QHBoxLayout(self)
        row.setContentsMargins(GRID, GRID // 2, GRID, GRID // 2)
        row.setSpacing(GRID)
        row.addWidget(self._icon)
        row.addWidget(self._text, 1)
        row.addWidget(self._button)
        self.setCursor(Qt.CursorShape.ArrowCursor)  # not the guest's
        self.hide()

    def show_badge(self, badge: Badge | None) -> None:
        """Show another badge; None hides it."""
        if badge == self._badge:
            return
        self._badge = badge
        if badge is None:
            self.hide()
            return
        self._text.set_text(badge.text)
        self._show_icon(badge.icon)
        self._button.setVisible(badge.command is not None)
        if badge.command is not None:
            self._button.setText(plain_action(badge.label))
            self._button.setAccessibleName(badge.label)
            self._button.setIcon(icons.icon(_BUTTON_ICONS[badge.command]))
        self.setAccessibleName("State")
        self.setAccessibleDescription(one_line(badge.text))
        self.setToolTip(plain_tooltip(badge.text))
        self.place()
        self.show()
        self.raise_()

    def _show_icon(self, name: str) -> None:
        icon = icons.icon(name)
        side = self.fontMetrics().height()
        self._icon.setVisible(not icon.isNull())
        self._icon.setPixmap(icon.pixmap(QSize(side, side), self.devicePixelRatioF()))

    def place(self) -> None:
        """Take the size of the text, and the badge's place in the parent as it is now."""
        badge, parent = self._badge, self.parentWidget()
        if badge is None or parent is None:
            return
        room = parent.size() - QSize(2 * GRID, 2 * GRID)
        self._text.setMaximumWidth(_LONGEST * self.fontMetrics().horizontalAdvance("x"))
        self._row.activate()
        size = self.sizeHint().boundedTo(room)
        self.resize(size)
        if badge.centred:
            self.move((parent.width() - size.width()) // 2, (parent.height() - size.height()) // 2)
        else:
            self.move(GRID, GRID)

    def refresh(self) -> None:
        """Draw the icon in the palette's present colours, and fit the present font."""
        if self._badge is not None:
            self._show_icon(self._badge.icon)
            self.place()

    def _clicked(self) -> None:
        if self._badge is not None and self._badge.command is not None:
            self._run(self._badge.command)


_BUTTON_ICONS = {
    MachineCommand.START: "start",
    MachineCommand.RESUME: "start",
    MachineCommand.END: "end",
}
