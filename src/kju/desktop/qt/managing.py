"""Actions on machines in the main window: menus, side panel, pages, dropped files."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu

from ...client.requests import Event
from ...errors import KjuError
from ...escaping import one_line
from ...viewers.qt import icons
from ...viewers.qt.palette import tool_button
from ..actions import Action, control, refusal
from ..machines.entry import MachineEntry, MachineKey, MachineState
from ..machines.machines import Machines
from ..machines.remote_machines import RemoteMachines
from .action_menu import ActionMenu
from .computers_dialog import ComputersDialog
from .dialogs import Question
from .main_window import MainWindow
from .pages.side_panel import USUAL_WIDTH, SidePanel
from .pages.snapshot_page import SnapshotPage
from .typing_bar import TypingBar
from .wall.tile_actions import TileAction
from .wall.tile_pictures import TilePictures

#: Actions on the tile below the pointer, in this order.
_ON_TILES = (Action.START, Action.RESUME, Action.PAUSE, Action.STOP, Action.SNAPSHOT)
#: Snapshot pages at the same time.
_MAX_PAGES = 16


class Managing(QObject):
    """Everything that is done with the machines of a main window.

    Args:
        window: The main window.
        machines: All machines.
        post: Calls a function on the toolkit's thread, from any thread.
        pictures: The pictures of the wall; those of other computers share the connections.

    Attributes:
        actions: The actions on machines.
        panel: The side panel.
        typing: Typing into all selected machines.
        remotes: The machines of other computers.
    """

    def __init__(
        self,
        window: MainWindow,
        machines: Machines,
        post: Callable[[Callable[[], None]], None],
        pictures: TilePictures,
    ) -> None:
        super().__init__(window)
        self._window, self._machines, self._post = window, machines, post
        self.actions = ActionMenu(window, self._local_names)
        self.panel = SidePanel(self.actions.runner)
        self.typing = TypingBar(self.actions.runner, window.page, window.wall)
        self.remotes = RemoteMachines(post, machines.update, machines.discard, user=pictures.remote)
        pictures.remote_news.connect(self.remotes.set_news)
        self._pages: dict[MachineKey, SnapshotPage] = {}
        self._shown: list[MachineEntry] = []
        self._fill_menu(window.menus.machine)
        self._hook()
        self.remotes.open()

    # ---- Menus

    def _fill_menu(self, menu: QMenu) -> None:
        page = self._window.page
        menu.addSeparator()
        for action in self.actions.actions.values():
            # Of the wall's page only: Delete in a console's tab must not remove a machine.
            action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            page.addAction(action)
            menu.addAction(action)
        menu.addSeparator()
        self._snapshots = self._add(menu, "Snapshot &tree", "snapshot", self._open_tree, "Ctrl+T")
        self._type = self._add(menu, "&Type into all", "keyboard", self._type_into, "Ctrl+K")
        self._eject = self._add(menu, "E&ject CD", "close", self._eject_cd, "")
        view = self._window.menus.view
        view.addSeparator()
        self._add_panel_switch(view)
        self._window.menus.add(view, "&Other computers\N{HORIZONTAL ELLIPSIS}", self._show_remotes)

    def _add(
        self, menu: QMenu, text: str, icon: str, run: Callable[[], object], key: str
    ) -> QAction:
        action = QAction(icons.icon(icon), text, self)
        action.setShortcut(QKeySequence(key))
        action.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        action.triggered.connect(lambda: run())
        self._window.page.addAction(action)
        menu.addAction(action)
        return action

    def _add_panel_switch(self, view: QMenu) -> None:
        """Add the action that shows or hides the side panel, with a button beside the search."""
        switch = self._window.menus.add(
            view, "Side &panel", lambda: self.panel.set_collapsed(not self.panel.is_collapsed), "F9"
        )
        switch.setCheckable(True)
        switch.setChecked(True)
        self.panel.collapsed.connect(lambda on: switch.setChecked(not on))
        button = tool_button("side-panel", "Side panel (F9)")
        button.setCheckable(True)
        button.setChecked(True)
        button.clicked.connect(lambda: self.panel.set_collapsed(not button.isChecked()))
        self.panel.collapsed.connect(lambda on: button.setChecked(not on))
        self._window.page.add_to_bar(button)

    def _hook(self) -> None:
        window = self._window
        window.wall.selection_changed.connect(self._selection_changed)
        window.wall.set_tile_actions(self._tile_actions)
        window.wall.files_dropped.connect(self._take_files)
        window.remote_opened.connect(self._open_remote)
        window.page.set_side_panel(self.panel, window.settings.panel_width or USUAL_WIDTH)
        self.panel.set_collapsed(not window.settings.panel_shown)
        self.panel.collapsed.connect(lambda on: self._remember_panel())
        self.panel.left.connect(window.page.take_focus)
        self.panel.resized.connect(lambda width: self._remember_panel())
        if (layout := window.page.layout()) is not None:
            layout.addWidget(self.typing)
        self._machines.subscribe(self._machines_changed)
        self._machines.subscribe_events(self._take_event)
        self.actions.summarized.connect(lambda text, failed: window.say(text))
        self.panel.tree_wanted.connect(self.open_tree)
        self.typing.ended.connect(window.wall.setFocus)
        self._selection_changed()

    def _tile_actions(self, entry: MachineEntry) -> list[TileAction]:
        return [
            TileAction(
                action.value,
                self.actions.actions[action].icon(),
                functools.partial(self.actions.trigger, action, [entry]),
            )
            for action in _ON_TILES
            if not refusal(action, entry)
        ]

    # ---- Machines

    def _local_names(self) -> list[str]:
        return [key.name for key in self._machines.entries if not key.host]

    def _selection_changed(self) -> None:
        self._shown = self._window.wall.selected()
        running = [entry for entry in self._shown if entry.is_local and entry.state.runs]
        self.actions.show_selection(self._shown)
        self.panel.show_machine(self._shown[0] if self._shown else None)
        self._snapshots.setEnabled(len(self._shown) == 1 and self._shown[0].is_local)
        self._type.setEnabled(bool(running))
        self._eject.setEnabled(bool(running))

    def _machines_changed(self, changed: set[MachineKey]) -> None:
        if changed & {entry.key for entry in self._shown}:
            self._selection_changed()
        for key in changed - self._machines.entries.keys():
            self.panel.forget(key)
        for key in changed & self._pages.keys():
            entry = self._machines.entries.get(key)
            self._pages[key].show_machine(entry or _ended(key))

    def _take_event(self, key: MachineKey, event: Event) -> None:
        self.panel.take_event(key, event)
        if (page := self._pages.get(key)) is not None:
            page.model.on_event(key, event.name)

    def _remember_panel(self) -> None:
        settings = msgspec.structs.replace(
            self._window.settings,
            panel_width=self.panel.open_width,
            panel_shown=not self.panel.is_collapsed,
        )
        self._window.remember(settings)

    # ---- Snapshots

    def _open_tree(self) -> None:
        if self._shown:
            self.open_tree(self._shown[0])

    def open_tree(self, entry: MachineEntry) -> None:
        """Show a machine's snapshots in a tab."""
        page = self._pages.get(entry.key)
        if page is None:
            if len(self._pages) >= _MAX_PAGES:
                self._window.say(f"{_MAX_PAGES} snapshot pages are open; close one first")
                return
            page = self._pages[entry.key] = SnapshotPage(self.actions.runner, self._local_names)
            page.closed.connect(lambda: self._pages.pop(entry.key, None))
        page.show_machine(self._machines.entries.get(entry.key, entry))
        self._window.add_page(page, f"{one_line(entry.name, 64)}: snapshots")
        page.tree.setFocus()

    # ---- Typing

    def _type_into(self) -> None:
        self._window.show_wall()
        self.typing.start(self._shown)

    # ---- CDs

    def _take_files(self, paths: list[Path], entry: MachineEntry | None) -> None:
        if entry is None or not entry.state.runs:
            return  # the page for new machines takes them
        if not entry.is_local:
            self._window.say(refusal(Action.STOP, entry))
        elif len(paths) != 1:
            self._window.say(f"{entry.name} has one CD drive: drop one ISO image")
        else:
            path = paths[0]
            Question(
                self._window, "Change the CD",
                f"Put {one_line(str(path), 300)} into the CD drive of"
                f" {one_line(entry.name, 64)}?\n\nA CD in the drive is ejected.",
                "Change", lambda _: self._change_cd(entry.key, path),
            )  # fmt: skip

    def _eject_cd(self) -> None:
        for entry in self._shown:
            if entry.is_local and entry.state.runs:
                self._change_cd(entry.key, None)

    def _change_cd(self, key: MachineKey, path: Path | None) -> None:
        def change() -> None:
            try:
                with control(key.name) as machine:
                    machine.change_cd(path)
                text = (
                    f"{key.name}: {path.name} is in the CD drive"
                    if path
                    else (f"{key.name}: CD ejected")
                )
            except KjuError as error:
                text = f"{key.name}: {error}"
            self._post(lambda: self._window.say(text))

        if not self.actions.runner.submit(key, change):
            self._window.say(f"{key.name}: too many actions are waiting")

    # ---- Other computers

    def _show_remotes(self) -> None:
        dialog = ComputersDialog(self._window, self.remotes)
        dialog.open()

    def _open_remote(self, entry: MachineEntry, in_window: bool) -> None:
        if entry.state is MachineState.UNREACHABLE:
            self.remotes.retry(entry.key.host)
            self._window.say(f"trying {entry.key.host} again")
            return
        self._window.say(f"connecting to {entry.name}")

        def connect() -> None:
            try:
                name = self.remotes.mirror(entry.key)
            except KjuError as error:
                text = f"{entry.name}: {error}"
                self._post(lambda: self._window.say(text))
                return
            self._post(lambda: self._open_local(name, in_window))

        if not self.actions.runner.submit(entry.key, connect):
            self._window.say(f"{entry.name}: too many actions are waiting")

    def _open_local(self, name: str, in_window: bool) -> None:
        if in_window:
            self._window.consoles.open_window(name)
        else:
            self._window.consoles.open_tab(name)

    def close(self) -> None:
        """End the typing, the threads and the mirrors; the machines keep running."""
        self.typing.shut()
        self.remotes.close()
        self.actions.close()


def _ended(key: MachineKey) -> MachineEntry:
    """Return the entry of a machine that no longer has one."""
    return MachineEntry(key, MachineState.ENDED)
