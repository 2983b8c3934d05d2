"""First steps of a new user on the empty wall: check the setup, start the sample guest."""

from __future__ import annotations

import html

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QMessageBox

from ....escaping import one_line
from ... import first_steps
from ...background import Background
from ...machines.entry import MachineKey
from ...machines.machines import Machines
from ...wall.empty import EmptyAction
from .wall_page import WallPage

#: Milliseconds of an empty wall before this computer's setup is checked: it takes a second of CPU.
_CHECK_MS = 700


class FirstSteps(QObject):
    """The work of the buttons of an empty wall.

    Args:
        page: The page of the wall.
        machines: All machines.
        background: Runs what may block.
    """

    #: A step has failed: the reason.
    failed = Signal(str)

    def __init__(self, page: WallPage, machines: Machines, background: Background) -> None:
        super().__init__(page)
        self._page, self._machines, self._background = page, machines, background
        self._check = first_steps.SetupCheck()
        self._check_soon = QTimer(self, singleShot=True, interval=_CHECK_MS)
        self._check_soon.timeout.connect(self._check_setup)
        page.empty.pressed.connect(self._pressed)
        page.setup_wanted.connect(self._check_soon.start)

    def close(self) -> None:
        """End a check of the setup that runs, and begin no other."""
        self._check_soon.stop()
        self._check.cancel()

    def _pressed(self, action: EmptyAction) -> None:
        if action is EmptyAction.SAMPLE:
            self._start_sample()
        elif action is EmptyAction.CHECK:
            self._check_setup()

    def _check_setup(self) -> None:
        """Check this computer's setup, while the wall is empty."""
        if not self._machines.entries:
            self._check.cancel()
            self._check = first_steps.SetupCheck()
            self._background.run(self._check.run, self._page.set_setup)

    def _start_sample(self) -> None:
        empty, post = self._page.empty, self._background.post

        def report(words: str) -> None:
            post(lambda: empty.show_progress(one_line(words)))

        def failed(reason: str) -> None:
            empty.show_progress("")
            self.failed.emit(reason)
            QMessageBox.warning(self._page, "The sample guest", _plain(reason))

        def done(name: str) -> None:
            empty.show_progress("")
            self._page.wall.select(MachineKey("", name))

        empty.show_progress("starting the sample guest")
        self._background.run(lambda: first_steps.start_sample(report), done, failed)


def _plain(text: str) -> str:
    """Return a text that Qt does not take for HTML."""
    return html.escape(one_line(text))
