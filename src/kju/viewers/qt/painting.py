"""Drawing of one picture and its cursor in a widget, and the shapes of the widget's pointer.

Rules:

- The QImage uses the surface's own memory: no copy before Qt draws.
- Everything is drawn from absolute device pixels, clipped to the region to repaint. So a part that
  is drawn alone has the same pixels as a whole picture, at every scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QCursor, QImage, QPainter, QPixmap, QRegion

from ...client.consumer.frame import Frame
from ...surface import Cursor
from ...surface.geometry import Rect
from ...surface.thumbnail import shrink_into
from ..contract import PointerShape
from ..geometry import Placement, device_cover, device_pixel

if TYPE_CHECKING:
    import numpy.typing as npt

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
        self._average: npt.NDArray[np.uint8] | None = None  # the whole target, computed where drawn

    def show(self, frame: Frame | None) -> None:
        """Draw from this memory from now on."""
        self._image = self._average = None  # before its memory is unmapped
        self._frame = frame
        if frame is not None:
            self._image = _image_on(frame)

    @property
    def frame(self) -> Frame | None:
        """The picture's memory; None without a picture."""
        return self._frame

    def copy(self, cursor: Cursor | None) -> QImage:
        """Return a copy of the picture with a cursor in it; a null image without a picture."""
        if self._image is None:
            return QImage()
        picture = self._image.convertToFormat(QImage.Format.Format_RGB32).copy()
        if cursor is not None and cursor.visible and cursor.shape.size:
            painter = QPainter(picture)
            left, top = cursor.x - cursor.hot_x, cursor.y - cursor.hot_y
            painter.drawImage(left, top, _cursor_image(cursor))
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
        if placement.averages:
            self._paint_average(painter, placement, region, ratio)
        elif placement.scale == 1 and placement.exact:
            painter.drawImage(target.topLeft(), self._image)
        elif placement.exact:
            painter.drawImage(target, self._image)
        elif placement.smooth:
            _paint_rows(painter, self._image, placement, region, ratio)
        elif self._frame is not None:
            _paint_nearest(painter, self._frame, placement, region, ratio)
        if self.cursor is not None:
            _paint_cursor(painter, placement, self.cursor)

    def _paint_average(
        self, painter: QPainter, placement: Placement, region: QRegion, ratio: float
    ) -> None:
        """Draw the average of the guest's pixels in each device pixel."""
        target, frame = placement.target, self._frame
        visible = placement.visible
        if frame is None or visible is None:
            return
        shape = target.height, target.width, *frame.shape[2:]
        if self._average is None or self._average.shape != shape:
            self._average = np.empty(shape, np.uint8)
        image = _image_of(self._average)
        for drawn in _parts(region, ratio, visible):
            inside = drawn._replace(x=drawn.x - target.x, y=drawn.y - target.y)
            shrink_into(self._average, np.asarray(frame), inside)
            painter.drawImage(drawn.x, drawn.y, image, *inside)


def _paint_rows(
    painter: QPainter, image: QImage, placement: Placement, region: QRegion, ratio: float
) -> None:
    """Draw a picture smoothly.

    Qt finds the pixel at the left end of what it draws, and then counts with a rounded step. A part
    of a row would get other pixels than the whole row, so whole rows are drawn.
    """
    target, visible = placement.target, placement.visible
    if visible is None:
        return
    hint = QPainter.RenderHint.SmoothPixmapTransform
    rows, top = QImage(), -1
    for drawn in _parts(region, ratio, visible):
        if drawn.width == visible.width:
            painter.setRenderHint(hint)
            painter.drawImage(QRect(*target), image)
            return  # the painter is clipped to the region
        # The parts of one band have the same rows.
        if (drawn.y, drawn.height) != (top, rows.height()):
            rows, top = QImage(target.width, drawn.height, QImage.Format.Format_RGB32), drawn.y
            with QPainter(rows) as whole:
                whole.setRenderHint(hint)
                whole.drawImage(QRect(0, target.y - top, target.width, target.height), image)
        painter.drawImage(drawn.x, drawn.y, rows, drawn.x - target.x, 0, drawn.width, drawn.height)


def _paint_nearest(
    painter: QPainter, frame: Frame, placement: Placement, region: QRegion, ratio: float
) -> None:
    """Draw the guest's pixel under the middle of each device pixel, as `Placement.guest_pixel`.

    Qt's own rounds, and other pixels for a part than for the whole.
    """
    target, visible = placement.target, placement.visible
    if visible is None:
        return
    plain = np.asarray(frame)
    # A colour is taken as one number.
    words: npt.NDArray[Any] = plain.view(np.uint32)[..., 0] if plain.ndim == 3 else plain
    for drawn in _parts(region, ratio, visible):
        columns = _nearest(drawn.x - target.x, drawn.width, placement.width, target.width)
        rows = _nearest(drawn.y - target.y, drawn.height, placement.height, target.height)
        # The step that makes it smaller, or larger by less, first.
        if target.height > placement.height:
            first = int(rows[0])
            band = words[first : int(rows[-1]) + 1].take(columns, 1)
            pixels = band.take(rows - first, 0)
        else:
            pixels = words.take(rows, 0).take(columns, 1)
        shape = drawn.height, drawn.width, *plain.shape[2:]
        painter.drawImage(drawn.x, drawn.y, _image_of(pixels.view(np.uint8).reshape(shape)))


def _nearest(begin: int, count: int, guest: int, drawn: int) -> npt.NDArray[np.intp]:
    """Return the guest's pixels under device pixels, along one axis."""
    return (2 * np.arange(begin, begin + count) + 1) * guest // (2 * drawn)


def _parts(region: QRegion, ratio: float, visible: Rect) -> Iterator[Rect]:
    """Yield the device pixels of a picture that a region of logical pixels covers."""
    parts: Any = region  # Qt's types do not say that iterating a region gives rectangles
    for part in parts:
        logical = Rect(part.x(), part.y(), part.width(), part.height())
        if (drawn := device_cover(logical, ratio).intersection(visible)) is not None:
            yield drawn


def _paint_cursor(painter: QPainter, placement: Placement, cursor: Cursor) -> None:
    scale, target = placement.scale, placement.target
    height, width = cursor.shape.shape[:2]
    left, top = cursor.x - cursor.hot_x, cursor.y - cursor.hot_y
    painter.setClipRect(QRect(*target), Qt.ClipOperation.IntersectClip)
    where = QRectF(target.x + left * scale, target.y + top * scale, width * scale, height * scale)
    painter.drawImage(where, _cursor_image(cursor))


def _image_on(frame: Frame) -> QImage:
    """Return a QImage on a frame's own memory, which must outlive it."""
    height, width = frame.shape[:2]
    stride = frame.strides[0]
    size = stride * (height - 1) + width * frame.strides[1]
    plain = np.asarray(frame)
    memory = np.lib.stride_tricks.as_strided(plain, (size,), (1,), writeable=False)
    kind = QImage.Format.Format_RGB32 if frame.ndim == 3 else QImage.Format.Format_Grayscale8
    return QImage(memory.data, width, height, stride, kind)


def _image_of(pixels: npt.NDArray[np.uint8]) -> QImage:
    """Return a QImage on the memory of an array without padding, which must outlive it."""
    height, width = pixels.shape[:2]
    kind = QImage.Format.Format_RGB32 if pixels.ndim == 3 else QImage.Format.Format_Grayscale8
    return QImage(pixels.data, width, height, pixels.strides[0], kind)


def _cursor_image(cursor: Cursor) -> QImage:
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
    image = _cursor_image(cursor)
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
