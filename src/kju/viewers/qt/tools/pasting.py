"""Paste as typing, in one or several machines: layouts, question, progress, result; its menu."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QEvent, QLocale, QObject, Signal
from PySide6.QtGui import QAction, QDragMoveEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QWidget

from ....errors import LimitError
from ....escaping import one_line
from ... import settings
from ...contract import Status, ViewCommand
from ...targets import MachineTarget
from ...tools.paste import GroupPlan, PastePlan, preferred_layout
from ...tools.paste_run import PasteResult, PasteTarget
from ..background import QtBackground
from ..menu import Section
from ..view_parts import ViewParts
from .paste_dialog import PasteBar, PasteDialog


class Pasting(QObject):
    """The typing of texts, one after the other.

    The layout of each guest is asked once, and remembered. A text of one line and at most
    `PREVIEW_ABOVE` characters, all of which the layouts have, is typed without a question then.

    Args:
        view: The widget over which the progress is shown.
        back: The widget that gets the focus after a question and after the typing.
        notify: Shows a message.
    """

    #: The typing has ended: a `PasteResult`; None if the user did not want it.
    ended = Signal(object)

    def __init__(self, view: QWidget, back: QWidget, notify: Callable[[str], None]) -> None:
        super().__init__(back)
        self._view, self._back, self._notify = view, back, notify
        self._background = QtBackground(self)
        self._targets: tuple[PasteTarget, ...] = ()
        self._bar: PasteBar | None = None
        self._dialog: PasteDialog | None = None

    @property
    def is_busy(self) -> bool:
        """True from the question to the end of the typing."""
        return bool(self._targets)

    @property
    def has_focus(self) -> bool:
        """True while the progress has the keyboard, so that Esc cancels the typing."""
        return self._bar is not None and self._bar.has_focus

    def begin(self, text: str, targets: Sequence[PasteTarget], *, ask: bool = False) -> None:
        """Type a text, after a question where there is one. While busy, nothing happens.

        Args:
            text: The text.
            targets: The machines; several consoles of one machine have one layout.
            ask: Show the question in any case.
        """
        if self.is_busy or not targets:
            return
        if not text:
            self._notify("the clipboard has no text")
            return
        self._targets = tuple(targets)
        machines = list(dict.fromkeys(target.machine for target in targets))

        def remembered() -> dict[str, str]:
            return {name: settings.load(name).layout for name in machines}

        self._background.run(
            "settings", remembered, lambda layouts: self._plan(text, layouts, ask=ask)
        )

    def cancel(self) -> None:
        """Withdraw the question, or cancel the typing; `ended` follows when every key is up."""
        if self._dialog is not None:
            self._dialog.reject()
        elif self._bar is not None:
            self._bar.cancel()
        else:
            self._targets = ()

    def close(self) -> None:
        """Cancel the typing, and wait until every key is up."""
        if self._bar is not None:
            self._bar.stop()

    def _plan(self, text: str, remembered: Mapping[str, str], *, ask: bool) -> None:
        if not self._targets:
            return  # cancelled meanwhile
        locale = QLocale.system().name()
        layouts = {name: preferred_layout([known], locale) for name, known in remembered.items()}
        try:
            plan = GroupPlan(text, layouts)
        except LimitError as error:
            self._notify(str(error))
            self._finish(None)
            return
        if layouts == remembered and not ask and not plan.needs_question:
            self._type(plan.plans)
            return
        self._dialog = PasteDialog(text, layouts, self._back.window())
        self._dialog.finished.connect(self._answered)
        self._dialog.open()

    def _answered(self, accepted: int) -> None:
        dialog, self._dialog = self._dialog, None
        if dialog is None:
            return
        dialog.deleteLater()
        self._back.setFocus()
        if not accepted:
            self._finish(None)
            return
        layouts = dialog.plan.layouts

        def remember() -> None:
            for name, layout in layouts.items():
                if reason := settings.update(name, functools.partial(_set_layout, layout)):
                    self._background.post(functools.partial(self._notify, one_line(reason)))

        # Not a daemon: the end of the process waits for it.
        threading.Thread(target=remember, name="kju-settings").start()
        self._type(dialog.plan.plans)

    def _type(self, plans: Mapping[str, PastePlan]) -> None:
        typed = {target: plans[target.machine] for target in self._targets}
        self._bar = PasteBar(self._view, self._back, typed, self._background.post)
        self._bar.ended.connect(self._finish)

    def _finish(self, result: PasteResult | None) -> None:
        self._bar, self._targets = None, ()
        if result is not None:
            self._notify(one_line(result.words))
        self.ended.emit(result)


def _set_layout(layout: str, machine: settings.MachineSettings) -> None:
    machine.layout = layout


class PasteTool(QObject):
    """The paste of one window.

    Attributes:
        pasting: Has the behaviour.
    """

    def __init__(self, console: ViewParts) -> None:
        super().__init__(console.window)
        self._console = console
        self.pasting = Pasting(console.view, console.view, console.notify)
        self._actions = self._add_actions()
        console.status_changed.connect(self._show_status)
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

    @property
    def _target(self) -> PasteTarget | None:
        """Return the current view's screen; None if it takes no text."""
        target = self._console.view.viewer.target
        if isinstance(target, MachineTarget):
            return PasteTarget(target.name, target.console)
        return None

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
