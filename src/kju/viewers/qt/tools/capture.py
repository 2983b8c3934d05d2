"""Screenshots of a console window: copied, saved, or dragged out of the window as a file.

The picture is the guest's pixels at their own size, whatever the window's scale, with the guest's
cursor; the last ones where the machine has ended. It is encoded and written off Qt's thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import (
    QBuffer,
    QByteArray,
    QIODevice,
    QMimeData,
    QObject,
    QPoint,
    QStandardPaths,
    Qt,
    QUrl,
)
from PySide6.QtGui import (
    QAction,
    QDrag,
    QGuiApplication,
    QImage,
    QImageWriter,
    QMouseEvent,
    QPixmap,
)
from PySide6.QtWidgets import QApplication, QFileDialog

from ....errors import KjuError
from ....files import Folder, make_folders, write_output
from ....store.paths import runtime_folder
from ...contract import Status, ViewCommand
from ..menu import Section
from ..palette import ScalingButton, tool_button
from ..view_parts import ViewParts

_MORE = "\N{HORIZONTAL ELLIPSIS}"
_NO_PICTURE = "there is no picture yet"
# The picture under the pointer while it is dragged.
_DRAGGED_WIDTH = 160


class Capture(QObject):
    """Screenshots of one window.

    Args:
        console: The window's parts.

    Attributes:
        button: For the strip: a click saves, dragging takes the picture elsewhere.
    """

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        menu = console.menu
        self._actions: list[QAction] = [
            menu.add(
                Section.PICTURE, "Save a screenshot", self.save, icon="picture",
                command=ViewCommand.SCREENSHOT,
            ),
            menu.add(Section.PICTURE, f"Save a screenshot as{_MORE}", self._ask, icon="save"),
            menu.add(Section.PICTURE, "Copy the screenshot", self.copy, icon="copy"),
        ]  # fmt: skip
        self._folder: Path | None = None
        self._files: list[str] = []
        tip = "Screenshot: click to save it, drag it to another program"
        self.button: _DragButton = _DragButton(self._prepare_drag, self._actions[0].trigger, tip)
        console.status_changed.connect(self._show_status)

    def picture(self) -> QImage:
        """Return a copy of the guest's pixels; a null one without a picture."""
        return self._console.view.picture()

    def copy(self) -> None:
        """Put the picture on the clipboard."""
        picture = self.picture()
        if picture.isNull():
            self._console.notify(f"cannot copy the screenshot: {_NO_PICTURE}")
            return
        QGuiApplication.clipboard().setImage(picture)
        self._console.notify(f"copied {picture.width()} \N{MULTIPLICATION SIGN} {picture.height()}")

    def save(self) -> None:
        """Save it in the user's folder of pictures, under the machine's name and the time."""
        self._save(_picture_path(self._console.view.viewer.name))

    def _ask(self) -> None:
        dialog = QFileDialog(self._console.window, "Save a screenshot")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilter("PNG pictures (*.png)")
        dialog.setDefaultSuffix("png")
        dialog.selectFile(str(_picture_path(self._console.view.viewer.name)))
        dialog.fileSelected.connect(lambda path: self._save(Path(path)))
        dialog.open()

    def _save(self, path: Path) -> None:
        self._write(path, lambda error: self._report(path, error))

    def _report(self, path: Path, error: str) -> None:
        notify = self._console.notify
        notify(f"cannot save the screenshot: {error}" if error else f"saved {path}")

    def _write(self, path: Path, done: Callable[[str], None]) -> None:
        """Write a PNG on a thread; *done* gets the reason of a failure, or nothing."""
        picture = self.picture()
        if picture.isNull():
            done(_NO_PICTURE)
            return

        def work() -> None:
            error = ""
            try:
                make_folders(path.parent)
                write_output(path, png(picture))
            except (KjuError, OSError) as failure:
                error = str(failure)
            self._console.view.viewer.backend.post(lambda: done(error))

        threading.Thread(target=work, name="kju-save", daemon=True).start()

    # ---- Dragging

    def _prepare_drag(self, ready: Callable[[QDrag], None]) -> None:
        """Write the picture, so that the file exists when the drag begins; then call *ready*."""
        picture = self.picture()
        name = _picture_path(self._console.view.viewer.name).name
        path = runtime_folder() / ".drag" / name

        def written(error: str) -> None:
            if error:
                self._console.notify(f"cannot drag the screenshot: {error}")
                return
            self._files.append(name)
            ready(_drag_of(self.button, picture, path))

        self._write(path, written)

    def close(self) -> None:
        """Remove the files of the drags."""
        if not self._files:
            return
        names = list(self._files)

        def work() -> None:
            try:
                with Folder.open(runtime_folder() / ".drag") as folder:
                    for name in names:
                        folder.remove(name)
            except KjuError:
                pass  # the session's end removes the folder

        threading.Thread(target=work, name="kju-drags").start()

    def _show_status(self, status: Status) -> None:
        reason = "" if all(status.size) else _NO_PICTURE
        for action in self._actions:
            self._console.menu.set_refusal(action, reason)
        self.button.setEnabled(not reason)


class _DragButton(ScalingButton):
    """A button that can be dragged out of the window.

    Args:
        prepare: Called at the press with a function that takes the drag when it is ready.
        click: Called at a click.
        tip: The tooltip.
    """

    def __init__(
        self,
        prepare: Callable[[Callable[[QDrag], None]], None],
        click: Callable[[], object],
        tip: str,
    ) -> None:
        super().__init__()
        model = tool_button("picture", "Screenshot")
        self.setIcon(model.icon())
        self.setText(model.text())
        self.setToolButtonStyle(model.toolButtonStyle())
        self.setAutoRaise(True)
        self.setFocusPolicy(model.focusPolicy())
        self.setToolTip(tip)
        self.setAccessibleName("Screenshot")
        self.setAccessibleDescription(tip)
        self._prepare = prepare
        self._pressed: QPoint | None = None
        self.clicked.connect(lambda _=False: click())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        if event.button() is Qt.MouseButton.LeftButton:
            self._pressed = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        begin = self._pressed
        if begin is None:
            super().mouseMoveEvent(event)
            return
        moved = (event.position().toPoint() - begin).manhattanLength()
        if moved >= QApplication.startDragDistance():
            self._pressed = None
            self.setDown(False)
            self._prepare(self._begin)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._pressed = None
        super().mouseReleaseEvent(event)

    def _begin(self, drag: QDrag) -> None:
        # The button may have been released while the picture was written.
        if QGuiApplication.mouseButtons() & Qt.MouseButton.LeftButton:
            drag.exec(Qt.DropAction.CopyAction)
        else:
            drag.deleteLater()


def _drag_of(source: QObject, picture: QImage, path: Path) -> QDrag:
    """Return a drag of a picture's file, which also carries the pixels."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    data.setImageData(picture)
    drag = QDrag(source)
    drag.setMimeData(data)
    smooth = Qt.TransformationMode.SmoothTransformation
    drag.setPixmap(QPixmap.fromImage(picture.scaledToWidth(_DRAGGED_WIDTH, smooth)))
    return drag


def png(picture: QImage) -> bytes:
    """Return a picture as a PNG."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(picture)
    return bytes(data.data())


def _picture_path(name: str) -> Path:
    """Return a path for a screenshot in the user's pictures folder, else in this folder."""
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    place = Path(folder) if folder else Path.cwd()
    # The name of a remote screen has slashes.
    return place / time.strftime(f"{name.replace('/', '-')}-%Y%m%d-%H%M%S.png")
