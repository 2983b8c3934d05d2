"""The create page in the main window: its actions, dropped files, and results.

A new machine is made in one tab at a time; each machine that is edited has a tab.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QTabWidget

from ....escaping import one_line
from ....viewers.qt.palette import plain_action
from ...machines.entry import MachineEntry, MachineKey, MachineState
from ...machines.machines import Machines
from ...wall.empty import EmptyAction
from ..main_window import MainWindow
from .create_page import CreatePage

_NEW = "New machine"
_AT_REST = (MachineState.OFF, MachineState.ENDED)


class CreateTabs:
    """Opens the create page in tabs of a main window; one for each window.

    Args:
        window: The main window; it gets the actions.
        machines: All machines.
    """

    def __init__(self, window: MainWindow, machines: Machines) -> None:
        self._window = window
        self._machines = machines
        #: The page of each machine that is edited; under "" that of a new one.
        self.pages: dict[str, CreatePage] = {}
        menu = window.menus.machine
        self._new = window.menus.add(menu, "&New machine...", self.new_machine, "Ctrl+N")
        self._edit = window.menus.add(menu, "&Edit...", self._edit_selected, "Ctrl+E")
        window.wall.selection_changed.connect(self._selection_changed)
        window.wall.files_dropped.connect(self._dropped)
        window.page.empty.files_dropped.connect(lambda paths: self._dropped(paths, None))
        window.page.empty.pressed.connect(self._pressed)
        self._selection_changed()

    def new_machine(self, path: str | None = None) -> None:
        """Show the page for a new machine; with a path, that is its image."""
        page = self.pages.get("")
        if page is None:
            page = self._opened("", _NEW)
        if path:
            page.take_file(path)
        self._window.tabs.setCurrentWidget(page)
        page.focus_first()

    def edit_machine(self, name: str, *, running: bool) -> None:
        """Show the page of a defined machine."""
        page = self.pages.get(name)
        if page is None:
            page = self._opened(name, f"Edit {one_line(name)}")
            page.edit_machine(name, running=running)
        self._window.tabs.setCurrentWidget(page)

    def close(self) -> None:
        """Close all pages; typed values are lost."""
        for page in list(self.pages.values()):
            self._close(page)

    # -- the pages

    def _opened(self, name: str, title: str) -> CreatePage:
        page = self.pages[name] = CreatePage(self._taken)
        page.destroyed.connect(partial(self._forget, page))
        page.cancelled.connect(partial(self._close, page))
        page.started.connect(partial(self._started, page))
        page.saved.connect(partial(self._saved, page))
        self._window.add_page(page, title)
        return page

    def _taken(self) -> set[str]:
        return {key.name for key in self._machines.entries if not key.host}

    def _forget(self, page: CreatePage, *_: object) -> None:
        for name, known in list(self.pages.items()):
            if known is page:
                del self.pages[name]

    def _close(self, page: CreatePage) -> None:
        self._forget(page)
        tabs: QTabWidget = self._window.tabs
        if (index := tabs.indexOf(page)) >= 0:
            tabs.removeTab(index)
        page.close()

    def _started(self, page: CreatePage, name: str) -> None:
        self._close(page)
        self._window.open_machine(name)

    def _saved(self, page: CreatePage, name: str) -> None:
        self._window.say(f"{name} is saved")
        if not page.has_failed:
            self._close(page)
            self._window.show_wall()
            self._window.wall.select(MachineKey("", name))
        elif self.pages.get(name) is not page:
            # The machine is defined and did not start: its page is the one that edits it from now.
            self._forget(page)
            self.pages[name] = page
            tabs: QTabWidget = self._window.tabs
            tabs.setTabText(tabs.indexOf(page), plain_action(f"Edit {name}"))

    # -- the user's events

    def _selected(self) -> MachineEntry | None:
        """Return the one selected machine, if it is defined here."""
        selected = self._window.wall.selected()
        if len(selected) == 1 and selected[0].is_local and selected[0].defined:
            return selected[0]
        return None

    def _selection_changed(self) -> None:
        self._edit.setEnabled(self._selected() is not None)

    def _edit_selected(self) -> None:
        if (entry := self._selected()) is not None:
            self.edit_machine(entry.name, running=entry.state not in _AT_REST)

    def _pressed(self, action: EmptyAction) -> None:
        if action is EmptyAction.NEW:
            self.new_machine()

    def _dropped(self, paths: Sequence[Path], entry: MachineEntry | None) -> None:
        # A file that is dropped on a machine is that machine's.
        if entry is None and paths:
            self.new_machine(str(paths[0]))
