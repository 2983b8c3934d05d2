"""The tools of a console window: paste, loupe, copied text, needles and recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QEvent, QObject, QStandardPaths
from PySide6.QtGui import QGuiApplication

from ....escaping import one_line
from ....surface.geometry import Rect
from ...contract import ViewCommand
from ...tools.picking import Purpose
from ...tools.screen_text import ScreenText, missing_reader, read_now
from ..background import QtBackground
from ..menu import Section
from ..palette import plain_tooltip
from ..view_parts import ViewParts
from ..widget import ScreenView
from .needle_dialog import NeedleDialog, TextDialog
from .pasting import PasteTool
from .picker import PickOverlay
from .record_tool import RecordTool

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


class ScreenTools(QObject):
    """The tools of one window; they end with it.

    Attributes:
        paste: Pastes text as typing.
        record: Records the screen.
    """

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        self._background = QtBackground(self)
        self._overlay: PickOverlay | None = None
        self._folder = Path()
        self.paste: PasteTool = PasteTool(console)
        add = console.menu.add
        add(
            Section.TOOLS, "Loupe", lambda: self.pick(Purpose.LOUPE),
            icon="loupe", command=ViewCommand.LOUPE,
        )  # fmt: skip
        copy = add(
            Section.TOOLS, "Copy text from the screen", lambda: self.pick(Purpose.TEXT),
            icon="text", command=ViewCommand.COPY_TEXT,
        )  # fmt: skip
        if reason := missing_reader():
            copy.setToolTip(plain_tooltip(f"Reads text consoles; {reason}"))
        add(
            Section.TOOLS,
            "Cut a needle\N{HORIZONTAL ELLIPSIS}",
            lambda: self.pick(Purpose.NEEDLE),
        )
        console.menu.separate(Section.TOOLS)
        self.record: RecordTool = RecordTool(console)
        console.window.installEventFilter(self)

    @property
    def overlay(self) -> PickOverlay | None:
        """The layer on which a pixel or rectangle is chosen now."""
        return self._overlay

    def pick(self, purpose: Purpose) -> None:
        """Begin a choice; the same one again ends it."""
        before = self._overlay
        if before is not None:
            before.finish()
            if before.purpose is purpose:
                return
        view = self._console.view
        if view.frame is None or view.placement is None:
            self._console.notify("the screen shows no picture yet")
            return
        overlay = PickOverlay(view, purpose)
        overlay.noted.connect(self._console.notify)
        overlay.cut_wanted.connect(lambda: self.pick(Purpose.NEEDLE))
        overlay.picked.connect(lambda rect: self._picked(purpose, view, rect))
        overlay.ended.connect(lambda: self._overlay_ended(overlay))
        self._overlay = overlay

    def _overlay_ended(self, overlay: PickOverlay) -> None:
        if self._overlay is overlay:
            self._overlay = None

    def _picked(self, purpose: Purpose, view: ScreenView, rect: Rect) -> None:
        frame = view.frame
        if frame is None:
            return
        picture = np.array(frame)  # the guest draws on meanwhile
        whole = Rect(0, 0, picture.shape[1], picture.shape[0])
        if (inside := rect.intersection(whole)) is None:
            return
        if purpose is Purpose.NEEDLE:
            self._ask_needle(picture, inside)
        else:
            self._console.notify("reading the text")
            self._background.run("read-text", lambda: read_now(picture, inside), self._show_text)

    def _show_text(self, result: ScreenText) -> None:
        if not result.text.strip():
            self._console.notify(one_line(result.words))
            return
        QGuiApplication.clipboard().setText(result.text)
        dialog = TextDialog(result, self._console.window)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def _ask_needle(self, picture: Pixels, rect: Rect) -> None:
        folder = self._folder if self._folder.is_absolute() else _pictures_folder()
        name = self._console.view.viewer.name
        dialog = NeedleDialog(name, picture, rect, folder, self._console.window)
        dialog.finished.connect(lambda _: self._needle_done(dialog))
        dialog.open()

    def _needle_done(self, dialog: NeedleDialog) -> None:
        if dialog.saved is not None:
            self._folder = dialog.saved.parent
            self._console.notify(one_line(f"saved {dialog.saved}"))
        dialog.deleteLater()

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Close and source is self._console.window:
            if self._overlay is not None:
                self._overlay.finish()
            self.paste.close()
            self.record.close()
        return False


def _pictures_folder() -> Path:
    found = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    return Path(found) if found else Path.cwd()
