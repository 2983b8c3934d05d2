"""The wall's search for text on the screens: reads them while such a search is shown."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer, Signal

from ...machines.machines import Machines
from ...wall.screen_texts import ScreenTexts
from .wall_page import WallPage

#: Milliseconds between two readings of the screens.
_READ_MS = 3000


class TextSearch(QObject):
    """Reads screens while the wall's search asks for their text.

    Args:
        page: The page of the wall.
        machines: All machines.
        post: Calls a function on the toolkit's thread, from any thread.
    """

    #: Why some screens cannot be read.
    failed = Signal(str)

    def __init__(
        self,
        page: WallPage,
        machines: Machines,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        super().__init__(page)
        self._page = page
        self._machines = machines
        self._texts = ScreenTexts(post, self._text_read)
        self._told = ""
        self._timer = QTimer(self, interval=_READ_MS)
        self._timer.timeout.connect(self._read)
        page.wall.tiles.screen_text = self._texts.text
        page.searched.connect(self._follow)
        page.installEventFilter(self)

    def close(self) -> None:
        """Stop reading."""
        self._timer.stop()
        self._texts.close()

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Show, QEvent.Type.Hide):
            self._follow()
        return super().eventFilter(source, event)

    def _follow(self) -> None:
        """Begin or end reading, as the search wants it."""
        wanted = self._page.wall.tiles.query.reads_screens
        if wanted and self._page.isVisible():
            if not self._timer.isActive():
                self._timer.start()
                self._read()
            return
        self._timer.stop()
        if not wanted:
            self._texts.drop()

    def _read(self) -> None:
        self._texts.read(list(self._machines.entries.values()))

    def _text_read(self) -> None:
        self._page.refresh()
        if self._texts.missing != self._told:
            self._told = self._texts.missing
            self.failed.emit(self._told)
