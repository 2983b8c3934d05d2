"""The parts of a console window, for the modules with its actions."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from ..contract import Status
from .menu import ConsoleMenu
from .widget import ScreenView


class ViewParts(QObject):
    """The parts of a console window that modules with actions use.

    A window with several screens side by side has several views. Actions are for the current one:
    it had the focus last.

    Args:
        window: The window.
        view: Its first screen.
        menu: The menu.
        notify: Shows a message for a few seconds.
        add_to_strip: Adds a widget to the status strip, beside the buttons.

    Attributes:
        window: The window, as the parent of dialogs.
        menu: The menu.
        notify: Shows a message for a few seconds.
        add_to_strip: Adds a widget to the status strip, beside the buttons.
    """

    #: The newest `Status` of the current view.
    status_changed = Signal(object)
    #: A view was added: a `ScreenView`.
    view_added = Signal(object)

    def __init__(
        self,
        window: QWidget,
        view: ScreenView,
        menu: ConsoleMenu,
        notify: Callable[[str], None],
        add_to_strip: Callable[[QWidget], None],
    ) -> None:
        super().__init__(window)
        self.window = window
        self.menu = menu
        self.notify = notify
        self.add_to_strip = add_to_strip
        self._view = view
        self._statuses: dict[ScreenView, Status | None] = {}
        self.add_view(view)

    @property
    def view(self) -> ScreenView:
        """The current view."""
        return self._view

    @property
    def views(self) -> list[ScreenView]:
        """All views, the window's first one first."""
        return list(self._statuses)

    def add_view(self, view: ScreenView) -> None:
        """Add the view of a further screen of the window."""
        self._statuses[view] = None
        view.status_changed.connect(lambda status: self._take_status(view, status))
        view.entered.connect(lambda: self._make_current(view))
        self.view_added.emit(view)

    def remove_view(self, view: ScreenView) -> None:
        """Remove a further view, which ends; the first one becomes the current view."""
        self._statuses.pop(view, None)
        if self._view is view:
            self._make_current(self.views[0])

    def _make_current(self, view: ScreenView) -> None:
        if view is self._view or view not in self._statuses:
            return
        self._view = view
        if (status := self._statuses[view]) is not None:
            self.status_changed.emit(status)

    def _take_status(self, view: ScreenView, status: Status) -> None:
        if view in self._statuses:
            self._statuses[view] = status
            if view is self._view:
                self.status_changed.emit(status)
