"""The layer over a view on which a pixel or a rectangle is chosen, with the loupe.

It covers the view and has the focus, so the guest gets no input until it is closed. `Picking` has
the decisions.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetrics,
    QGuiApplication,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QLabel, QWidget

from ....surface.geometry import Rect
from ...geometry import Placement, device_pixel
from ...tools.picking import FAR_STEP, LOUPE_CELLS, LOUPE_SCALE, Loupe, Picking, Purpose, loupe
from ...tools.picking import loupe_place as place_beside
from ..palette import GRID, NOTE, use_role
from ..widget import ScreenView

# Over the parts that are not chosen.
_SHADE = QColor(0, 0, 0, 110)
_GAP = 24
_DIRECT = Qt.FindChildOption.FindDirectChildrenOnly
_NOTE_EVENTS = {QEvent.Type.Show, QEvent.Type.Hide, QEvent.Type.Move, QEvent.Type.Resize}
_ARROWS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}


class PickOverlay(QWidget):
    """A layer over one view.

    Args:
        view: The view; it shows a picture.
        purpose: The purpose of the choice.
    """

    picked = Signal(object)
    cut_wanted = Signal()
    noted = Signal(str)
    ended = Signal()

    def __init__(self, view: ScreenView, purpose: Purpose) -> None:
        super().__init__(view.viewport())
        self._view = view
        self._purpose = purpose
        frame = view.frame
        height, width = frame.shape[:2] if frame is not None else (1, 1)
        self._picking = Picking(width, height, (width // 2, height // 2))
        self._loupe_rect = QRect()
        self._closing = self._low = False
        self._hint = _hint(self, purpose)
        self.setAccessibleName("Loupe" if purpose is Purpose.LOUPE else "Choice of a rectangle")
        self.setAccessibleDescription(purpose.value)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        view.viewport().installEventFilter(self)
        self._note = view.viewport().findChild(QWidget, NOTE, _DIRECT)
        if self._note is not None:
            self._note.installEventFilter(self)
        self.setGeometry(view.viewport().rect())
        self._place_hint()
        self.show()
        self.raise_()
        at = self.mapFromGlobal(self.cursor().pos())
        if self.rect().contains(at):
            self._move_to(QPointF(at))
        self.setFocus()

    @property
    def purpose(self) -> Purpose:
        """The purpose of the choice."""
        return self._purpose

    @property
    def at(self) -> tuple[int, int]:
        """The current pixel of the guest's screen."""
        return self._picking.at

    def finish(self) -> None:
        """Close the layer; the view has the focus again."""
        if self._closing:
            return
        self._closing = True
        self._view.viewport().removeEventFilter(self)
        if self._note is not None:
            self._note.removeEventFilter(self)
        self.close()
        self._view.setFocus()
        self.ended.emit()

    # ---- Events

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if source is self._note:
            if event.type() in _NOTE_EVENTS:
                self._place_hint()
            return False
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._view.viewport().rect())
            self._place_hint()
        # `ScreenView` forwards events at its last pixels to the viewport: not to the guest now.
        return isinstance(event, (QMouseEvent, QWheelEvent))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._move_to(event.position())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._move_to(event.position())
        if event.button() == Qt.MouseButton.RightButton:
            self._cancel()
        elif event.button() == Qt.MouseButton.LeftButton and self._purpose.selects:
            self._picking.begin()
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self._picking.begun:
            self._move_to(event.position())
            self._end_rectangle()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.accept()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        event.accept()
        key = Qt.Key(event.key())
        if key in _ARROWS:
            far = FAR_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            self._picking.step(*(far * way for way in _ARROWS[key]))
            self.update()
        elif key == Qt.Key.Key_Escape:
            self._cancel()
        elif self._purpose.selects:
            if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
                self._corner()
        elif key == Qt.Key.Key_N:
            self.cut_wanted.emit()
        elif key == Qt.Key.Key_C and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._copy_colour()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        # Another window may have the focus for a moment; another widget of this one ends it.
        if event.reason() not in (
            Qt.FocusReason.ActiveWindowFocusReason,
            Qt.FocusReason.PopupFocusReason,
        ):
            self.finish()

    # ---- The choice

    def _placement(self) -> Placement | None:
        placement = self._view.placement
        if placement is not None:
            self._picking.resize(placement.width, placement.height)
        return placement

    def _move_to(self, at: QPointF) -> None:
        placement = self._placement()
        if placement is None:
            return
        self._picking.move(
            placement.guest_pixel(*device_pixel(at.x(), at.y(), self.devicePixelRatioF()))
        )
        self.update()

    def _corner(self) -> None:
        if self._picking.begun:
            self._end_rectangle()
        else:
            self._picking.begin()
            self.update()

    def _end_rectangle(self) -> None:
        rect = self._picking.finish()
        self.update()
        if rect is not None:
            self.finish()
            self.picked.emit(rect)

    def _cancel(self) -> None:
        if self._picking.cancel():
            self.update()
        else:
            self.finish()

    def _copy_colour(self) -> None:
        if (content := self._content()) is not None:
            QGuiApplication.clipboard().setText(content.colour)
            self.noted.emit(f"copied {content.colour}")

    def _content(self) -> Loupe | None:
        frame = self._view.frame
        if frame is None or self._placement() is None:
            return None
        return loupe(np.asarray(frame), self._picking.at)

    # ---- Painting

    def paintEvent(self, event: QPaintEvent) -> None:
        content, placement = self._content(), self._view.placement
        if content is None or placement is None:
            return
        painter = QPainter(self)
        if (rect := self._picking.rect) is not None:
            self._paint_rectangle(painter, self._logical(placement, rect))
        middle = self._logical(placement, Rect(*content.at, 1, 1)).center()
        before, self._loupe_rect = self._loupe_rect, self._loupe_at(middle)
        if before != self._loupe_rect:
            self._low = middle.y() > self.height() // 2
            self._place_hint()
        self._paint_loupe(painter, content)
        painter.end()
        # The pixels in the loupe change elsewhere: paint it again with every change.
        if not event.region().contains(self._loupe_rect) or before != self._loupe_rect:
            self.update(self._loupe_rect.united(before))

    def _logical(self, placement: Placement, rect: Rect) -> QRectF:
        scale, ratio = placement.scale, self.devicePixelRatioF()
        left = placement.target.x + rect.x * scale
        top = placement.target.y + rect.y * scale
        return QRectF(
            left / ratio, top / ratio, rect.width * scale / ratio, rect.height * scale / ratio
        )

    def _paint_rectangle(self, painter: QPainter, chosen: QRectF) -> None:
        inner = chosen.toAlignedRect()
        painter.save()
        whole = self.rect()
        for part in (
            QRect(0, 0, whole.width(), inner.top()),
            QRect(0, inner.bottom() + 1, whole.width(), whole.height() - inner.bottom() - 1),
            QRect(0, inner.top(), inner.left(), inner.height()),
            QRect(inner.right() + 1, inner.top(), whole.width(), inner.height()),
        ):
            painter.fillRect(part, _SHADE)
        painter.setPen(QPen(self.palette().highlight().color(), 2))
        painter.drawRect(inner.adjusted(-1, -1, 1, 1))
        painter.restore()

    def _text_height(self) -> int:
        return QFontMetrics(self.font()).height()

    def _cell(self) -> int:
        """Return the side of a cell: the words below the cells fit under them."""
        words = QFontMetrics(self.font()).horizontalAdvance("00000, 00000   #dddddd")
        wanted = words + self._text_height() + 3 * GRID
        return max(LOUPE_SCALE, -(-wanted // LOUPE_CELLS))

    def _loupe_at(self, middle: QPointF) -> QRect:
        side = LOUPE_CELLS * self._cell() + 2
        size = QSize(side, side + self._text_height() + 2 * GRID)
        view = self._view.viewport().size()
        corner = place_beside(
            (round(middle.x()), round(middle.y())),
            (size.width(), size.height()),
            (view.width(), view.height()),
            _GAP,
        )
        return QRect(QPoint(*corner), size)

    def _paint_loupe(self, painter: QPainter, content: Loupe) -> None:
        box, palette, cell = self._loupe_rect, self.palette(), self._cell()
        painter.fillRect(box, palette.base())
        painter.setPen(palette.mid().color())
        painter.drawRect(box.adjusted(0, 0, -1, -1))
        cells = QRect(box.x() + 1, box.y() + 1, LOUPE_CELLS * cell, LOUPE_CELLS * cell)
        image = QImage(
            content.pixels.data, LOUPE_CELLS, LOUPE_CELLS, 4 * LOUPE_CELLS,
            QImage.Format.Format_RGB32,
        )  # fmt: skip
        painter.drawImage(cells, image)
        self._paint_outside(painter, cells, content)
        half = LOUPE_CELLS // 2 * cell
        centre = QRect(cells.x() + half, cells.y() + half, cell, cell)
        for more, colour in ((1, Qt.GlobalColor.black), (2, Qt.GlobalColor.white)):
            painter.setPen(colour)
            painter.drawRect(centre.adjusted(-more, -more, more - 1, more - 1))
        line = QRect(box.x() + GRID, cells.bottom() + 1 + GRID, box.width(), self._text_height())
        swatch = QRect(line.x(), line.y(), line.height(), line.height())
        painter.fillRect(swatch, QColor(content.colour))
        painter.setPen(palette.mid().color())
        painter.drawRect(swatch.adjusted(0, 0, -1, -1))
        painter.setPen(palette.text().color())
        words = content.words
        if (rect := self._picking.rect) is not None:
            words = f"{rect.width} \N{MULTIPLICATION SIGN} {rect.height} at {rect.x}, {rect.y}"
        text = line.adjusted(swatch.width() + GRID, 0, 0, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_outside(self, painter: QPainter, cells: QRect, content: Loupe) -> None:
        """Draw the cells that are outside the picture in the palette's colour."""
        outside, cell = self.palette().mid(), self._cell()
        for row, column in zip(*np.nonzero(~content.inside), strict=True):
            at = QPoint(cells.x() + int(column) * cell, cells.y() + int(row) * cell)
            painter.fillRect(QRect(at, QSize(cell, cell)), outside)

    def _place_hint(self) -> None:
        """Place the hint at the bottom, above a message of the window.

        While the point or the loupe is there, its place is at the top.
        """
        room = max(1, self.width() - 2 * GRID)
        words = QFontMetrics(self._hint.font()).horizontalAdvance(self._hint.text())
        width = min(room, words + 3 * GRID)
        height = self._hint.heightForWidth(width)
        bottom = self.height() - height - 2 * GRID
        has_note = self._note is not None and self._note.isVisible()
        is_low = self._loupe_rect.bottom() >= bottom or self._low
        if has_note and self._note is not None and not is_low:
            bottom = max(2 * GRID, self._note.y() - height - GRID)
        self._hint.setGeometry(
            (self.width() - width) // 2, 2 * GRID if is_low else bottom, width, height
        )


def _hint(parent: QWidget, purpose: Purpose) -> QLabel:
    label = QLabel(purpose.value, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    use_role(label, QPalette.ColorRole.Base, QPalette.ColorRole.Text)
    label.setMargin(GRID)
    label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    return label
