"""Write web/src/icons: the page's icon as PNG files, from src/kju/viewers/qt/kju.svg.

Phones do not take SVG. The files are in git, because Qt draws them, and the page is built without
Qt.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/kju/viewers/qt/kju.svg"
OUTPUT = ROOT / "web/src/icons"
#: A light background, since the icon is dark, and the part of an icon that no phone masks.
BACKGROUND, SAFE = "#e8eaee", 0.64
#: Side, the icon's part of it, and whether it has a background.
ICONS = {
    "icon-192.png": (192, 1.0, False),
    "icon-512.png": (512, 1.0, False),
    "icon-maskable.png": (512, SAFE, True),
    "icon-touch.png": (180, 0.8, True),
}


def main() -> None:
    """Write the files."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtCore import QRectF
    from PySide6.QtGui import QGuiApplication, QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    app = QGuiApplication([])
    OUTPUT.mkdir(exist_ok=True)
    renderer = QSvgRenderer(str(SOURCE))
    for name, (side, part, has_background) in ICONS.items():
        image = QImage(side, side, QImage.Format.Format_ARGB32)
        image.fill(BACKGROUND if has_background else "#00000000")
        painter = QPainter(image)
        rest = side * (1 - part) / 2
        renderer.render(painter, QRectF(rest, rest, side * part, side * part))
        painter.end()
        if not image.save(str(OUTPUT / name)):
            raise SystemExit(f"{OUTPUT / name} cannot be written")
    del app


if __name__ == "__main__":
    main()
