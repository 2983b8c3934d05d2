"""Paste as typing in a console window: from the clipboard, or a text dropped on the picture."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QLocale, QObject
from PySide6.QtGui import QAction, QDragMoveEvent, QDropEvent, QGuiApplication

from ....errors import LimitError
from ....escaping import one_line
from ... import settings
from ...contract import Status, ViewCommand
from ...targets import MachineTarget
from ...tools.paste import PastePlan, preferred_layout
from ...tools.paste_run import PasteResult, PasteTarget
from ..background import QtBackground
from ..menu import Section, ViewParts
from .paste_dialog import PasteBar, PasteDialog


class PasteTool(QObject):
    """The paste of one window.

    The guest's layout is asked once per machine, and remembered. A text of one line and at most
    `PREVIEW_ABOVE` characters, all of which the layout has, is typed without a question then.
    """

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        self._background = QtBackground(self)
        self._bar: PasteBar | None = None
        self._dialog: PasteDialog | None = None
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
        if self._bar is not None or self._dialog is not None:
            return
        if not text:
            self._console.notify("the clipboard has no text")
            return

        def remembered() -> str:
            return settings.load(target.machine).layout

        self._background.run(
            "settings", remembered, lambda layout: self._begin(text, layout, ask=ask)
        )

    def close(self) -> None:
        """Cancel the typing, and wait until every key is up."""
        if self._bar is not None:
            self._bar.stop()

    def _begin(self, text: str, remembered: str, *, ask: bool) -> None:
        layout = preferred_layout([remembered], QLocale.system().name())
        try:
            plan = PastePlan.make(text, layout)
        except LimitError as error:
            self._console.notify(str(error))
            return
        if self._bar is not None or self._dialog is not None or self._target is None:
            return
        if remembered == layout and not ask and not plan.needs_question:
            self._type(self._target, plan)
            return
        self._dialog = PasteDialog(self._target.machine, text, layout, self._console.window)
        self._dialog.finished.connect(self._answered)
        self._dialog.open()

    def _answered(self, accepted: int) -> None:
        dialog, self._dialog = self._dialog, None
        if dialog is None:
            return
        dialog.deleteLater()
        self._console.view.setFocus()
        if accepted and self._target is not None:
            layout = dialog.plan.layout

            def remember(machine: settings.MachineSettings) -> None:
                machine.layout = layout

            settings.update_soon(self._target.machine, remember)
            self._type(self._target, dialog.plan)

    def _type(self, target: PasteTarget, plan: PastePlan) -> None:
        self._bar = PasteBar(self._console.view, [target], plan, self._background.post)
        self._bar.ended.connect(self._ended)

    def _ended(self, result: PasteResult) -> None:
        self._bar = None
        self._console.notify(one_line(result.words))

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
