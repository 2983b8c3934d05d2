"""Icons of the windows: Phosphor, from qtawesome's fonts, in the palette's colours.

An icon is drawn when it is shown, in the colours of that moment: it follows a change of the
palette by itself. qtawesome and its one font are read at the first icon that is drawn. Without
qtawesome every icon is empty, and `has_icons` is False: buttons show words then.
"""

from __future__ import annotations

import functools
import os
from importlib import util
from typing import Any

from PySide6.QtCore import QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QGuiApplication, QIcon, QIconEngine, QPainter, QPalette, QPixmap

_SET = "ph"
#: Names in the windows, and Phosphor's names.
NAMES = {
    "add": "plus",
    "close": "x",
    "copy": "copy",
    "disconnected": "wifi-slash",
    "end": "x-circle",
    "eye": "eye",
    "frame-after": "skip-forward",
    "frame-before": "skip-back",
    "full-screen": "corners-out",
    "gauge": "gauge",
    "keyboard": "keyboard",
    "locked": "lock",
    "loupe": "magnifying-glass-plus",
    "machine": "desktop-tower",
    "menu": "list",
    "no-picture": "monitor",
    "off": "power",
    "paste": "clipboard-text",
    "pause": "pause",
    "picture": "camera",
    "power": "power",
    "question": "question",
    "record": "record",
    "reset": "arrow-counter-clockwise",
    "save": "floppy-disk",
    "scale": "arrows-out",
    "screens": "columns",
    "script": "code",
    "side-panel": "square-half",
    "snapshot": "clock-counter-clockwise",
    "start": "play",
    "stop": "stop",
    "text": "text-aa",
    "unlocked": "lock-open",
    "view": "monitor",
    "wait": "hourglass",
    "warning": "warning",
}
# Share of an icon's square that a glyph fills, as in qtawesome.
_FILL = 0.875


@functools.cache
def has_icons() -> bool:
    """Return whether icons can be drawn: qtawesome is installed."""
    return util.find_spec("qtawesome") is not None


def icon(name: str, colour: QColor | None = None) -> QIcon:
    """Return an icon; an empty one without qtawesome.

    Args:
        name: A name in `NAMES`.
        colour: Its colour; None for the palette's. A guest's picture has a surround of one colour.
    """
    return QIcon(_Engine(NAMES[name], colour)) if has_icons() else QIcon()


@functools.cache
def _font() -> Any:  # noqa: ANN401  qtawesome has no types
    """Return qtawesome's font of the one set that is used; `qtawesome.icon` reads all twelve."""
    os.environ["QT_API"] = "pyside6"  # for qtpy
    from qtawesome import get_fonts_info
    from qtawesome.iconic_font import IconicFont

    _, files = get_fonts_info()
    font = next(name for name in files if name.startswith("phosphor-"))
    stem, version = font.removesuffix(".ttf").rsplit("-", 1)
    return IconicFont((_SET, font, f"{stem}-charmap-{version}.json"))


class _Engine(QIconEngine):
    """Draws one glyph in the palette's colour."""

    def __init__(self, name: str, colour: QColor | None) -> None:
        super().__init__()
        self._name, self._colour = name, colour

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        font = _font()
        group, role = QPalette.ColorGroup.Active, QPalette.ColorRole.ButtonText
        if mode is QIcon.Mode.Disabled:
            group = QPalette.ColorGroup.Disabled
        elif mode is QIcon.Mode.Selected:
            role = QPalette.ColorRole.HighlightedText
        painter.save()
        painter.setPen(self._colour or QGuiApplication.palette().color(group, role))
        painter.setFont(font.font(_SET, round(rect.height() * _FILL)))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, font.charmap[_SET][self._name])
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        picture = QPixmap(size)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        self.paint(painter, QRect(QPoint(0, 0), size), mode, state)
        painter.end()
        return picture

    def clone(self) -> QIconEngine:
        return _Engine(self._name, self._colour)
