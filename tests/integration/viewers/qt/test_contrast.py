"""High contrast: the preference, the palette, and frames that follow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("PySide6", reason="PySide6 is missing: tools/setup desktop")

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QFrame, QLineEdit, QWidget

from kju.viewers.qt import contrast
from kju.viewers.qt.contrast import (
    OutlineStyle,
    OverlayFrame,
    has_high_contrast,
    is_black_and_white,
)
from kju.viewers.qt.palette import fixed_font, tool_button


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[QApplication]:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    made = QApplication.instance() or QApplication(["kju"])
    assert isinstance(made, QApplication)
    yield made
    made.setPalette(QPalette())
    made.processEvents()


def palette(ground: str, text: str) -> QPalette:
    made, role = QPalette(), QPalette.ColorRole
    for each in (role.Window, role.Base, role.Button):
        made.setColor(each, QColor(ground))
    for each in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(each, QColor(text))
    return made


@pytest.mark.parametrize(
    ("ground", "text", "high"),
    [
        ("black", "white", True),
        ("white", "black", True),
        ("#efefef", "black", False),  # Qt's light one
        ("#323232", "white", False),
        ("black", "#aaaaaa", False),
    ],
)
def test_palette_of_black_and_white_is_high_contrast(
    app: QApplication, ground: str, text: str, high: bool
) -> None:
    assert is_black_and_white(palette(ground, text)) is high


def test_qts_own_palettes_are_not(app: QApplication) -> None:
    for scheme in (Qt.ColorScheme.Light, Qt.ColorScheme.Dark):
        app.styleHints().setColorScheme(scheme)
        assert not has_high_contrast()
    app.styleHints().unsetColorScheme()


def test_frame_over_a_picture_follows_the_palette(app: QApplication) -> None:
    parent = QWidget()
    frame = OverlayFrame(parent)
    parent.show()
    assert frame.frameShape() is QFrame.Shape.StyledPanel
    app.setPalette(palette("black", "white"))
    app.processEvents()
    assert has_high_contrast()
    assert frame.frameShape() is QFrame.Shape.Box and frame.lineWidth() == contrast.FRAME_WIDTH
    picture = frame.grab().toImage()
    assert picture.pixelColor(0, 0) == QColor("white"), "its line has the colour of the text"
    app.setPalette(QPalette())
    app.processEvents()
    assert frame.frameShape() is QFrame.Shape.StyledPanel
    parent.close()


def test_fields_have_an_outline_on_a_black_palette(app: QApplication) -> None:
    """Fusion's own is darker than the window: nobody sees it on black."""
    style = OutlineStyle()
    field = QLineEdit()
    field.setStyle(style)
    field.setPalette(palette("black", "white"))
    field.resize(100, 30)
    picture = field.grab().toImage()
    edge = [picture.pixelColor(x, 0).lightness() for x in range(10, 90)]
    assert min(edge) > 200
    field.deleteLater()
    app.processEvents()


def test_icons_are_as_high_as_a_line_of_text(app: QApplication) -> None:
    button = tool_button("menu", "Menu")
    usual = button.iconSize().height()
    font = button.font()
    font.setPointSizeF(font.pointSizeF() * 2)
    button.setFont(font)
    assert button.iconSize().height() >= 1.5 * usual
    assert fixed_font().pointSizeF() == app.font().pointSizeF()
