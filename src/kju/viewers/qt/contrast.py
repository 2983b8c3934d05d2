"""High contrast: clearer lines in the windows when the desktop asks for them.

Qt's widgets follow the desktop's palette by themselves. The windows' own drawing shows states by
shape as well as by colour, and with high contrast by lines in the colour of the text.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QGuiApplication, QPainter, QPalette
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QProxyStyle,
    QStyle,
    QStyleOption,
    QStyleOptionComplex,
    QWidget,
)

#: Width of a frame with high contrast, in logical pixels.
FRAME_WIDTH = 2
_BLACK, _WHITE = 8, 247


def has_high_contrast() -> bool:
    """Return whether the desktop asks for high contrast, or its palette is black and white.

    Qt knows the desktop's preference since 6.10. Other desktops, and older Qt, only have a palette:
    those for high contrast draw windows, fields and buttons in pure black or white.
    """
    return _is_preferred() or is_black_and_white(QGuiApplication.palette())


def _is_preferred() -> bool:
    hints = getattr(QGuiApplication.styleHints(), "accessibility", None)
    return bool(
        hints is not None and hints().contrastPreference() == Qt.ContrastPreference.HighContrast
    )


def is_black_and_white(palette: QPalette) -> bool:
    """Return whether a palette draws everything in pure black and white, or the reverse."""
    role = QPalette.ColorRole
    grounds = [palette.color(each).lightness() for each in (role.Window, role.Base, role.Button)]
    texts = [palette.color(each).lightness() for each in (role.WindowText, role.Text)]
    black_on_white = min(grounds) >= _WHITE and max(texts) <= _BLACK
    white_on_black = max(grounds) <= _BLACK and min(texts) >= _WHITE
    return black_on_white or white_on_black


class OutlineStyle(QProxyStyle):
    """Fusion with outlines in the colour of the text.

    Fusion draws them itself where it knows of the preference. With a palette alone it makes them
    darker than the window, which nobody sees on black.
    """

    def __init__(self) -> None:
        super().__init__("fusion")

    def drawPrimitive(
        self,
        element: QStyle.PrimitiveElement,
        option: QStyleOption,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        super().drawPrimitive(element, option, painter, widget)
        raised = QStyle.StateFlag.State_On | QStyle.StateFlag.State_Sunken
        if element in _OUTLINED or (
            element is QStyle.PrimitiveElement.PE_PanelButtonTool and option.state & raised
        ):
            _outline(painter, option)

    def drawComplexControl(
        self,
        control: QStyle.ComplexControl,
        option: QStyleOptionComplex,
        painter: QPainter,
        widget: QWidget | None = None,
    ) -> None:
        super().drawComplexControl(control, option, painter, widget)
        if control in _OUTLINED_CONTROLS:
            _outline(painter, option)


_OUTLINED = frozenset(
    (
        QStyle.PrimitiveElement.PE_FrameLineEdit,
        QStyle.PrimitiveElement.PE_PanelLineEdit,
        QStyle.PrimitiveElement.PE_PanelButtonCommand,
        QStyle.PrimitiveElement.PE_IndicatorCheckBox,
        QStyle.PrimitiveElement.PE_Frame,
    )
)
_OUTLINED_CONTROLS = frozenset((QStyle.ComplexControl.CC_ComboBox, QStyle.ComplexControl.CC_Slider))


def _outline(painter: QPainter, option: QStyleOption) -> None:
    painter.save()
    painter.setPen(option.palette.color(QPalette.ColorRole.Text))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawRect(option.rect.adjusted(0, 0, -1, -1))
    painter.restore()


class ContrastFollower(QObject):
    """Draws all widgets again when the desktop's preference changes.

    A change of the palette is an event that Qt sends itself.

    Args:
        app: The application.
    """

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        if is_black_and_white(app.palette()) and not _is_preferred():
            app.setStyle(OutlineStyle())
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
