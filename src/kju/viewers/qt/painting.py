"""Drawing of one picture and its cursor in a widget, and the shapes of the widget's pointer.

Rules:

- The QImage uses the surface's own memory: no copy before Qt draws.
- Everything is drawn from absolute device pixels, clipped to the region to repaint. So a part that
  is drawn alone has the same pixels as a whole picture, at every scale (where Qt mixes pixels, to
  one level of 255).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QCursor, QImage, QPainter, QPixmap, QRegion

from ...client.frame import Frame
from ...surface import Cursor
from ..contract import PointerShape
from ..geometry import Placement, device_pixel

BACKGROUND = QColor(24, 24, 26)


class PicturePainter:
    """Draws one picture.

    Attributes:
        placement: Its place; None without a picture.
        cursor: The guest's cursor where it is drawn into the picture; else None.
    """

    def __init__(self) -> None:
        self.placement: Placement | None = None
        self.cursor: Cursor | None = None
        self._image: QImage | None = None
        self._frame: Frame | None = None  # keeps the image's memory mapped

    def show(self, frame: Frame | None) -> None:
        """Draw from this memory from now on."""
        self._image = None  # before its memory is unmapped
        self._frame = frame
        if frame is not None:
            self._image = image_on(frame)

    def copy(self, cursor: Cursor | None) -> QImage:
        """Return a copy of the picture with a cursor in it; a null image without a picture."""
        if self._image is None:
            return QImage()
        picture = self._image.convertToFormat(QImage.Format.Format_RGB32).copy()
        if cursor is not None and cursor.visible and cursor.shape.size:
            painter = QPainter(picture)
            left, top = cursor.x - cursor.hot_x, cursor.y - cursor.hot_y
            painter.drawImage(left, top, cursor_image(cursor))
            painter.end()
        return picture

    def paint(
        self, painter: QPainter, size: tuple[int, int], region: QRegion, ratio: float
    ) -> None:
        """Draw a part of the view.

        Args:
            painter: Its unit is a device pixel.
            size: Width and height of the view, device pixels.
            region: The part, logical pixels; the painter is clipped to it.
            ratio: Device pixels per logical pixel.
        """
        placement, view = self.placement, QRect(0, 0, *size)
        view.adjust(0, 0, 1, 1)  # a fraction of a device pixel may remain at the edges
        if placement is None or self._image is None:
            painter.fillRect(view, BACKGROUND)
            return
        target = QRect(*placement.target)
        # Qt's types do not say that iterating a region gives rectangles.
        margins: Any = QRegion(view).subtracted(QRegion(target))
        for margin in margins:
            painter.fillRect(margin, BACKGROUND)
        if placement.scale == 1 and placement.exact:
            painter.drawImage(target.topLeft(), self._image)
        else:
            smooth = placement.smooth and not placement.exact
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.drawImage(target, self._image)
        if self.cursor is not None:
            _paint_cursor(painter, placement, self.cursor)


def _paint_cursor(painter: QPainter, placement: Placement, cursor: Cursor) -> None:
    scale, target = placement.scale, placement.target
    height, width = cursor.shape.shape[:2]
    left, top = cursor.x - cursor.hot_x, cursor.y - cursor.hot_y
    painter.setClipRect(QRect(*target), Qt.ClipOperation.IntersectClip)
    where = QRectF(target.x + left * scale, target.y + top * scale, width * scale, height * scale)
    painter.drawImage(where, cursor_image(cursor))


def image_on(frame: Frame) -> QImage:
    """Return a QImage on a frame's own memory, which must outlive it."""
    height, width = frame.shape[:2]
    stride = frame.strides[0]
    size = stride * (height - 1) + width * frame.strides[1]
    plain = np.asarray(frame)
    memory = np.lib.stride_tricks.as_strided(plain, (size,), (1,), writeable=False)
    kind = QImage.Format.Format_RGB32 if frame.ndim == 3 else QImage.Format.Format_Grayscale8
    return QImage(memory.data, width, height, stride, kind)


def cursor_image(cursor: Cursor) -> QImage:
    """Return a copy of a guest's cursor."""
    height, width = cursor.shape.shape[:2]
    shape = np.ascontiguousarray(cursor.shape)
    return QImage(shape.data, width, height, width * 4, QImage.Format.Format_ARGB32).copy()


def pointer(shape: PointerShape, cursor: Cursor | None, scale: float, ratio: float) -> QCursor:
    """Return the widget's pointer.

    Args:
        shape: Its kind.
        cursor: The guest's, for `PointerShape.GUEST`.
        scale: Device pixels per guest pixel.
        ratio: Device pixels per logical pixel.
    """
    if shape is PointerShape.ARROW:
        return QCursor(Qt.CursorShape.ArrowCursor)
    if shape is PointerShape.DOT:
        return _dot(ratio)
    if shape is PointerShape.HIDDEN or cursor is None:
        return QCursor(Qt.CursorShape.BlankCursor)
    image = cursor_image(cursor)
    if scale != 1:
        size = max(1, round(image.width() * scale)), max(1, round(image.height() * scale))
        image = image.scaled(QSize(*size), mode=Qt.TransformationMode.SmoothTransformation)
    image.setDevicePixelRatio(ratio)
    # Qt takes the hot spot in logical pixels, and the image in device pixels.
    hot = [device_pixel((at + 0.5) * scale / ratio, 0, 1)[0] for at in (cursor.hot_x, cursor.hot_y)]
    return QCursor(QPixmap.fromImage(image), *hot)


def _dot(ratio: float) -> QCursor:
    """Return a white dot with a dark rim, for guests that draw their own pointer, or none."""
    side, middle = 7, 3
    picture = QPixmap(round(side * ratio), round(side * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(0, 0, 0, 160))
    painter.setBrush(QColor(255, 255, 255, 220))
    painter.drawEllipse(QRectF(1.5, 1.5, 4, 4))
    painter.end()
    return QCursor(picture, middle, middle)
