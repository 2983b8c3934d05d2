"""Draws one tile of the wall: the picture, the name, the state, one note."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QIcon, QImage, QPainter, QPalette, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ....viewers.qt import icons
from ....viewers.qt.contrast import has_high_contrast
from ....viewers.qt.painting import BACKGROUND
from ....viewers.qt.palette import GRID
from ...machines.entry import (
    MachineEntry,
    MachineKey,
    MachineState,
    name_text,
    note_text,
    state_text,
)
from .wall_model import ENTRY_ROLE

_RADIUS = 6
#: Width and height of a picture's place.
_ASPECT = (16, 10)
#: Opacity of the picture of a machine that does not run.
_OFF_OPACITY = 0.45
_STATE_ICONS = {
    MachineState.RUNNING: "start",
    MachineState.PAUSED: "pause",
    MachineState.STARTING: "wait",
    MachineState.OFF: "off",
    MachineState.ENDED: "end",
    MachineState.SILENT: "question",
    MachineState.UNREACHABLE: "disconnected",
}


class _TilePart(NamedTuple):
    """Places of the parts of one tile."""

    picture: QRect
    name: QRect
    state: QRect
    note: QRect


class TileDelegate(QStyledItemDelegate):
    """Draws the tiles.

    Args:
        parent: The wall.
        picture: Returns a machine's newest picture, at the size of the place in device pixels.
    """

    def __init__(
        self,
        parent: QWidget,
        picture: Callable[[MachineKey], QImage | None],
    ) -> None:
        super().__init__(parent)
        self.width = 256
        self._picture = picture

    def tile_size(self, font: QFont) -> QSize:
        """Return the size of every tile."""
        line = QFontMetrics(font).height()
        return QSize(self.width, 2 * GRID + self.picture_size().height() + 4 + 3 * line + 4)

    def picture_size(self) -> QSize:
        """Return the size of a picture's place."""
        width = self.width - 2 * GRID
        return QSize(width, width * _ASPECT[1] // _ASPECT[0])

    def parts(self, rect: QRect, font: QFont) -> _TilePart:
        """Return the places of the parts of a tile at *rect*."""
        line, size = QFontMetrics(font).height(), self.picture_size()
        picture = QRect(rect.x() + GRID, rect.y() + GRID, size.width(), size.height())
        texts = [
            QRect(picture.x(), picture.bottom() + 5 + row * (line + 2), size.width(), line)
            for row in range(3)
        ]
        return _TilePart(picture, *texts)

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        return self.tile_size(option.font)

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        entry = index.data(ENTRY_ROLE)
        if not isinstance(entry, MachineEntry):
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        self._paint_frame(painter, option, selected)
        parts = self.parts(option.rect, option.font)
        self._paint_picture(painter, option, parts.picture, entry)
        self._paint_texts(painter, option, parts, entry, selected)
        painter.restore()

    def _paint_frame(self, painter: QPainter, option: QStyleOptionViewItem, selected: bool) -> None:
        palette, inner = option.palette, option.rect.adjusted(1, 1, -1, -1)
        high = has_high_contrast()
        ground = None
        if selected:
            ground = QPalette.ColorRole.Highlight
        elif option.state & QStyle.StateFlag.State_MouseOver:
            ground = QPalette.ColorRole.AlternateBase
        text = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        painter.setPen(QPen(palette.color(QPalette.ColorRole.Text), 3 if selected else 1))
        if not high:
            painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(Qt.BrushStyle.NoBrush if ground is None else palette.brush(ground))
        if high or ground is not None:
            painter.drawRoundedRect(inner, _RADIUS, _RADIUS)
        if option.state & QStyle.StateFlag.State_HasFocus:
            role = QPalette.ColorRole.Text if selected else QPalette.ColorRole.Highlight
            pen = QPen(palette.color(text if high else role), 2)
            if high:  # dashes, within the line of the tile: it is another shape, too
                pen.setStyle(Qt.PenStyle.DashLine)
                inner = inner.adjusted(3, 3, -3, -3)
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(inner, _RADIUS, _RADIUS)

    def _paint_picture(
        self, painter: QPainter, option: QStyleOptionViewItem, place: QRect, entry: MachineEntry
    ) -> None:
        painter.fillRect(place, BACKGROUND)
        image = self._picture(entry.key)
        if image is None or image.isNull():
            side = min(48, place.height() // 2)
            icon = QRect(0, 0, side, side)
            icon.moveCenter(place.center())
            painter.setOpacity(1 if has_high_contrast() else 0.5)
            _state_icon(entry.state, on_picture=True).paint(painter, icon)
            self._paint_lack(
                painter, place.adjusted(GRID, icon.bottom() - place.y(), -GRID, 0), entry
            )
            painter.setOpacity(1)
            return
        ratio = painter.device().devicePixelRatioF()
        size = image.size() / ratio
        if size.width() > place.width() or size.height() > place.height():
            size.scale(place.size(), Qt.AspectRatioMode.KeepAspectRatio)
        target = QRect(place.topLeft(), size)
        target.moveCenter(place.center())
        live = entry.state.runs or entry.state is MachineState.STARTING
        painter.setOpacity(1 if live else _OFF_OPACITY)
        painter.drawImage(target, image)
        painter.setOpacity(1)

    def _paint_lack(self, painter: QPainter, place: QRect, entry: MachineEntry) -> None:
        """Say why a running machine has no picture."""
        if entry.state.runs:
            text = "no screen" if entry.screens == 0 else "no picture yet"
            painter.setPen(Qt.GlobalColor.white)  # on the picture's surround
            painter.drawText(place, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)

    def _paint_texts(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        parts: _TilePart,
        entry: MachineEntry,
        selected: bool,
    ) -> None:
        palette = option.palette
        role = QPalette.ColorRole.HighlightedText if selected else QPalette.ColorRole.Text
        painter.setPen(palette.color(role))
        bold = QFont(option.font)
        bold.setBold(True)
        painter.setFont(bold)
        _draw_elided(painter, parts.name, name_text(entry))
        painter.setFont(option.font)
        mode = QIcon.Mode.Selected if selected else QIcon.Mode.Normal
        text = _draw_icon(painter, parts.state, _state_icon(entry.state), mode)
        _draw_elided(painter, text, state_text(entry, time.time()))
        note = parts.note
        if entry.warnings:
            note = _draw_icon(painter, note, _warning_icon(), mode)
        elif not selected:
            high = has_high_contrast()
            role = QPalette.ColorRole.Text if high else QPalette.ColorRole.PlaceholderText
            painter.setPen(palette.color(role))
        _draw_elided(painter, note, note_text(entry))


def _draw_icon(painter: QPainter, place: QRect, icon: QIcon, mode: QIcon.Mode) -> QRect:
    """Draw an icon at the beginning of a line; return the rest of the line."""
    if icon.isNull():
        return place
    side = place.height()
    icon.paint(painter, QRect(place.x(), place.y(), side, side), mode=mode)
    return place.adjusted(side + 4, 0, 0, 0)


def _draw_elided(painter: QPainter, place: QRect, text: str) -> None:
    metrics = painter.fontMetrics()
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, place.width())
    painter.drawText(place, flags, shown)


@functools.cache
def _state_icon(state: MachineState, *, on_picture: bool = False) -> QIcon:
    """Return the icon of a state; an empty one without icons.

    Args:
        state: The state.
        on_picture: It is drawn on the surround of a picture, which is dark in every palette.
    """
    return icons.icon(_STATE_ICONS[state], QColor("white") if on_picture else None)


@functools.cache
def _warning_icon() -> QIcon:
    """Return the icon of a warning."""
    return icons.icon("warning")
