"""Small pictures from PNG files, read on a thread."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QImageReader

#: Pixels of a picture that is read; a larger file is refused before it is decoded.
MAX_PIXELS = 64 << 20


def small_picture(path: str, size: QSize) -> QImage:
    """Return a picture scaled into a size; an empty one if it cannot be read. Any thread."""
    reader = QImageReader(path)
    reader.setDecideFormatFromContent(True)
    whole = reader.size()
    if not whole.isValid() or whole.width() * whole.height() > MAX_PIXELS:
        return QImage()
    picture = reader.read()
    if picture.isNull():
        return QImage()
    return picture.scaled(
        size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
