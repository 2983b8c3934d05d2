"""Paste as typing in a console window: from the clipboard, or a text dropped on the picture."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject
from PySide6.QtGui import QAction, QDragMoveEvent, QDropEvent, QGuiApplication

from ...contract import Status, ViewCommand
from ...targets import MachineTarget
from ...tools.paste_run import PasteTarget
from ..menu import Section, ViewParts
from .pasting import Pasting


class PasteTool(QObject):
    """The paste of one window.

    Attributes:
        pasting: Has the behaviour.
    """

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        self.pasting = Pasting(console.view, console.view, console.notify)
        target = console.view.viewer.target
        self._target = (
            PasteTarget(target.name, target.console) if isinstance(target, MachineTarget) else None
        )
        self._actions = self._add_actions()
        console.view.status_changed.connect(self._show_status)
        if self._target is not None:
            viewport = console.view.viewport()
            viewport.setAcceptDrops(True)
            viewport.installEventFilter(self)

    def _add_actions(self) -> tuple[QAction, QAction]:
        menu = self._console.menu
        paste = menu.add(
            Section.KEYBOARD, "Paste as typing", self.paste,
            icon="paste", command=ViewCommand.PASTE,
        )  # fmt: skip
        choose = menu.add(
            Section.KEYBOARD,
            "Paste as typing, with another layout\N{HORIZONTAL ELLIPSIS}",
            lambda: self.paste(ask=True),
        )
        return paste, choose

    def _show_status(self, status: Status) -> None:
        reason = ""
        if self._target is None or status.view_only:
            reason = "this view sends no input"
        for action in self._actions:
            self._console.menu.set_refusal(action, reason)

    def paste(self, *, ask: bool = False) -> None:
        """Type the clipboard's text.

        Args:
            ask: Show the question in any case.
        """
        self.type_text(QGuiApplication.clipboard().text(), ask=ask)

    def type_text(self, text: str, *, ask: bool = False) -> None:
        """Type a text, after a question where there is one."""
        target = self._target
        if target is None or self._console.view.viewer.view_only:
            self._console.notify("this view sends no input")
            return
        self.pasting.begin(text, [target], ask=ask)

    def close(self) -> None:
        """Cancel the typing, and wait until every key is up."""
        self.pasting.close()

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if isinstance(event, QDropEvent):  # the enter and move events are of this class too
            data = event.mimeData()
            if not data.hasText() or data.hasUrls():
                return False
            event.acceptProposedAction()
            if not isinstance(event, QDragMoveEvent):
                self.type_text(data.text())
            return True
        return False
