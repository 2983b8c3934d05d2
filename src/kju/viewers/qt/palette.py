"""Qt's own palette, spacing and plain texts: helpers for the windows.

The windows use the palette's colours as Qt follows them (light, dark, high contrast), with one
exception: the surround of a guest's picture (`painting.BACKGROUND`). Texts of guests, machines and
QEMU are drawn as plain text: by default Qt draws HTML in labels and tooltips, and reads `&` in a
menu as a mnemonic.
"""

from __future__ import annotations

import html

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QFont, QFontDatabase, QGuiApplication, QPalette, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QToolButton, QWidget

from ...escaping import one_line
from . import icons

#: The unit of spacing, in logical pixels.
GRID = 8
#: Object name of the message over a picture, which other overlays do not cover.
NOTE = "note"


def plain_tooltip(text: str) -> str:
    """Return a tooltip that Qt draws as this text, in several lines where it is long."""
    return f"<span>{html.escape(one_line(text))}</span>" if text else ""


def plain_action(text: str) -> str:
    """Return the text of a menu item or button that Qt draws as this text."""
    return one_line(text).replace("&", "&&")


def use_role(widget: QWidget, background: QPalette.ColorRole, text: QPalette.ColorRole) -> None:
    """Draw a widget in two roles of the palette, whatever its colours are at that moment."""
    widget.setAutoFillBackground(True)
    widget.setBackgroundRole(background)
    widget.setForegroundRole(text)


def fixed_font() -> QFont:
    """Return the desktop's font of fixed width, as large as the windows' font."""
    font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
    if (size := QGuiApplication.font().pointSizeF()) > 0:
        font.setPointSizeF(size)
    return font


class PlainLabel(QLabel):
    """A label for plain text on one line, which is cut with an ellipsis where it is too long.

    The whole text is its tooltip then, and always its accessible name.
    """

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.set_text(text)

    @property
    def whole(self) -> str:
        """The whole text."""
        return self._whole

    def set_text(self, text: str) -> None:
        """Show another text."""
        text = one_line(text)
        if text != self._whole:
            self._whole = text
            self.setAccessibleName(text)
            self.updateGeometry()
            self._elide()

    def sizeHint(self) -> QSize:
        # One pixel more, for the rounding of fractional widths.
        width = self.fontMetrics().horizontalAdvance(self._whole) + 1
        return QSize(width, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        metrics = self.fontMetrics()
        shown = metrics.elidedText(self._whole, Qt.TextElideMode.ElideRight, self.width())
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(plain_tooltip(self._whole) if shown != self._whole else "")


class ScalingButton(QToolButton):
    """A button whose icon is as high as a line of text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scale()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.ApplicationFontChange):
            self._scale()

    def _scale(self) -> None:
        side = max(2 * GRID, self.fontMetrics().height())
        self.setIconSize(QSize(side, side))


def tool_button(icon: str, word: str, parent: QWidget | None = None) -> QToolButton:
    """Return a flat button with an icon and a tooltip; with the word where there are no icons."""
    button = ScalingButton(parent)
    button.setIcon(icons.icon(icon))
    button.setText(plain_action(word))
    button.setToolTip(word)  # one of the window's own words
    button.setAccessibleName(word)
    style = Qt.ToolButtonStyle.ToolButtonIconOnly
    if not icons.has_icons():
        style = Qt.ToolButtonStyle.ToolButtonTextOnly
    button.setToolButtonStyle(style)
    button.setAutoRaise(True)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


def icon_label() -> QLabel:
    """Return a label for an icon."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def wrapped_label(text: str) -> QLabel:
    """Return a label for plain text in several lines."""
    label = QLabel(one_line(text))
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
