"""A window with fields and buttons that writes what it is told to a file, one line each.

    python -m support.form_program FILE [--dark] [--menu]

With ``--menu`` it has a menu that opens when the pointer is over its title.

It stands for a program in a guest, in tests of `kju codegen` and of locators.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QColor, QEnterEvent, QMouseEvent, QPainter, QPaintEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QWidget

#: The size of the screen that it fills.
WIDTH, HEIGHT = 800, 600


class Log:
    """The file, in which a line is whole once it can be read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, *words: object) -> None:
        self._file.write(" ".join(map(str, words)) + "\n")
        self._file.flush()


class Board(QWidget):
    """A picture without a text: a tile that can be dragged, and clicks and turns of the wheel."""

    def __init__(self, parent: QWidget, log: Log) -> None:
        super().__init__(parent)
        self._log = log
        self._tile = QPoint(30, 30)
        self._held = False

    def paintEvent(self, _: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#dde6dd"))
        for number, colour in enumerate(("#b03030", "#3050b0", "#208040")):
            painter.setBrush(QColor(colour))
            painter.drawEllipse(QRect(200 + 60 * number, 20 + 10 * number, 30, 30))
            painter.drawLine(200 + 60 * number, 60, 230 + 50 * number, 90 - 8 * number)
        painter.fillRect(QRect(self._tile, self._tile + QPoint(40, 24)), QColor("#704090"))
        painter.drawLine(self._tile, self._tile + QPoint(40, 24))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        at = event.position().toPoint()
        self._held = QRect(self._tile, self._tile + QPoint(40, 24)).contains(at)
        if not self._held:
            self._log("board", event.button().name, at.x(), at.y())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._tile = event.position().toPoint()
            self._log("dropped", self._tile.x(), self._tile.y())
            self._held = False
            self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._log("double", event.button().name)

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._log("wheel", event.angleDelta().y())


class Title(QLabel):
    """The title of a menu, which opens under the pointer."""

    def __init__(self, menu: QWidget, log: Log) -> None:
        super().__init__("More options")
        self._menu, self._log = menu, log

    def enterEvent(self, event: QEnterEvent) -> None:
        self._menu.show()
        self._log("menu")


class Form(QWidget):
    """The window."""

    def __init__(self, log: Log, *, dark: bool, menu: bool) -> None:
        super().__init__()
        ground, ink = ("#20242c", "#f0f0f0") if dark else ("#f2f2f0", "#101010")
        paper = "#101318" if dark else "#ffffff"
        self.setStyleSheet(f"""
            QWidget {{ background: {ground}; color: {ink}; font: 16px 'DejaVu Sans'; }}
            QLineEdit {{ background: {paper}; border: 1px solid #808080; }}
            QPushButton {{ border: 1px solid #707070; padding: 4px; }}
            QPushButton#save {{ background: #1a6fd0; color: white; }}
            QPushButton#remove {{ background: #b02020; color: white; }}
        """)
        self._log = log
        self.setFixedSize(WIDTH, HEIGHT)
        for row, label in enumerate(("Name:", "Mail:")):
            self._put(QLabel(label), 40, 40 + 50 * row, 90)
            field = QLineEdit()
            field.textEdited.connect(lambda text, label=label: log("field", label, text))
            self._put(field, 150, 40 + 50 * row, 260)
        for row, name in enumerate(("Alice", "Robert")):
            self._put(QLabel(name), 470, 40 + 50 * row, 120)
            self._button(
                "Edit", 610, 40 + 50 * row, "edit", lambda _=False, name=name: log("edit", name)
            )
        self._button("Save", 150, 150, "save", self._save)
        self._button("Remove", 270, 150, "remove", lambda: log("remove"))
        self._status = QLabel("Waiting for input")
        self._put(self._status, 40, 220, 700)
        board = Board(self, log)
        board.setGeometry(40, 290, 720, 240)
        if menu:
            archive = self._button("Archive", 610, 190, "archive", lambda: log("archive"))
            archive.hide()
            self._put(Title(archive, log), 470, 150, 120)
        self._log("ready")

    def keyPressEvent(self, event: object) -> None:
        self._log("key", Qt.Key(event.key()).name)  # type: ignore[attr-defined]

    def _put(self, widget: QWidget, x: int, y: int, width: int) -> None:
        widget.setParent(self)
        widget.setGeometry(x, y, width, 32)

    def _button(self, text: str, x: int, y: int, name: str, then: object) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(name)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(then)
        self._put(button, x, y, 100)
        return button

    def _save(self) -> None:
        self._log("save")
        self._status.setText("Everything has been saved")


def main() -> None:
    app = QApplication(sys.argv[:1])
    form = Form(Log(Path(sys.argv[1])), dark="--dark" in sys.argv, menu="--menu" in sys.argv)
    form.setWindowFlag(Qt.WindowType.FramelessWindowHint)
    form.show()
    form.activateWindow()
    app.exec()


if __name__ == "__main__":
    main()
