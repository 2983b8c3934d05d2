"""High contrast: clearer lines in the windows when the desktop asks for them.

Qt's widgets follow the desktop's palette by themselves. The windows' own drawing shows states by
shape as well as by colour, and with high contrast by lines in the colour of the text.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QFrame, QWidget

#: Width of a frame with high contrast, in logical pixels.
FRAME_WIDTH = 2
_BLACK, _WHITE = 8, 247


def has_high_contrast() -> bool:
    """Return whether the desktop asks for high contrast, or its palette is black and white.

    Qt knows the desktop's preference since 6.10. Other desktops, and older Qt, only have a palette:
    those for high contrast draw windows, fields and buttons in pure black or white.
    """
    hints = getattr(QGuiApplication.styleHints(), "accessibility", None)
    if hints is not None and hints().contrastPreference() == Qt.ContrastPreference.HighContrast:
        return True
    return is_black_and_white(QGuiApplication.palette())


def is_black_and_white(palette: QPalette) -> bool:
    """Return whether a palette draws everything in pure black and white, or the reverse."""
    role = QPalette.ColorRole
    grounds = [palette.color(each).lightness() for each in (role.Window, role.Base, role.Button)]
    texts = [palette.color(each).lightness() for each in (role.WindowText, role.Text)]
    black_on_white = min(grounds) >= _WHITE and max(texts) <= _BLACK
    white_on_black = max(grounds) <= _BLACK and min(texts) >= _WHITE
    return black_on_white or white_on_black


class ContrastFollower(QObject):
    """Draws all widgets again when the desktop's preference changes.

    A change of the palette is an event that Qt sends itself.

    Args:
        app: The application.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        hints = getattr(app.styleHints(), "accessibility", None)
        if hints is not None:
            hints().contrastPreferenceChanged.connect(self._changed)

    def _changed(self) -> None:
        for widget in QApplication.allWidgets():
            QApplication.sendEvent(widget, QEvent(QEvent.Type.PaletteChange))
            widget.update()


class OverlayFrame(QFrame):
    """A frame over a picture: its edge is the style's, and a line of text colour if asked for."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._show_edge()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange):
            self._show_edge()

    def _show_edge(self) -> None:
        high = has_high_contrast()
        shape = QFrame.Shape.Box if high else QFrame.Shape.StyledPanel
        if self.frameShape() != shape:
            self.setFrameShape(shape)
            self.setFrameShadow(QFrame.Shadow.Plain)
            self.setLineWidth(FRAME_WIDTH if high else 1)
