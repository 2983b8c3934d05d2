"""The menu of a console window: sections to which modules add their actions, and "Scale".

A module adds its actions with one function, which `window.py` calls once for each window:

    def add_actions(console: Console) -> None:
        console.menu.add(Section.TOOLS, "Loupe", show, icon="loupe", command=ViewCommand.LOUPE)

An action whose `ViewCommand` has a letter (`grab.SHORTCUT_LETTERS`) gets the chord of the release
key and that letter, which works while the keyboard is not grabbed; the item shows it.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from enum import Enum

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QKeyEvent
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from ...escaping import one_line
from ...keys import from_x11
from ..contract import ViewCommand
from ..geometry import Scaling
from ..input.grab import SHORTCUT_LETTERS
from ..viewer import Viewer
from . import icons
from .palette import plain_action, plain_tooltip
from .widget import ScreenView

_KEY_EVENTS = (QEvent.Type.KeyPress, QEvent.Type.KeyRelease)
_LETTERS = {command: letter.upper() for letter, command in SHORTCUT_LETTERS.items()}
_SCALES = {
    Scaling.FIT: "Fit the window",
    Scaling.SHRINK: "Fit, never enlarged",
    Scaling.INTEGER: "Whole multiples",
    Scaling.ONE: "1:1",
    Scaling.WIDTH: "Fill the width",
}


class Section(Enum):
    """A section of the menu, with its title and icon, in the menu's order."""

    MACHINE = "Machine", "machine"
    KEYBOARD = "Keyboard", "keyboard"
    VIEW = "View", "view"
    PICTURE = "Picture", "picture"
    TOOLS = "Tools", "loupe"


class ConsoleMenu(QObject):
    """The menu of one window.

    Args:
        parent: The window.
        release_key: The release key, as a user reads it.

    Attributes:
        root: The whole menu.
        consumed: The receiver of `key_pressed` sets it where the key is not for the menu.
    """

    #: The commands with a shortcut have changed.
    shortcuts_changed = Signal()
    #: A menu has received a key: its number, and True for a press. See `consumed`.
    key_pressed = Signal(int, bool)
    #: A command was given whose action cannot be used now: the reason.
    refused = Signal(str)

    def __init__(self, parent: QWidget, release_key: str) -> None:
        super().__init__(parent)
        self.consumed: bool = False
        self.root = self._new_menu("Menu", parent)
        self._release_key = release_key
        self._sections = {section: self._add_section(section) for section in Section}
        self._commands: dict[ViewCommand, QAction] = {}
        self.root.addSeparator()

    def _add_section(self, section: Section) -> QMenu:
        title, icon = section.value
        menu = self._new_menu(title, self.root)
        menu.setIcon(icons.icon(icon))
        self.root.addMenu(menu)
        # A section without actions is not shown.
        menu.menuAction().setVisible(False)
        return menu

    def _new_menu(self, title: str, parent: QWidget) -> QMenu:
        menu = QMenu(plain_action(title), parent)
        menu.installEventFilter(self)
        menu.setAccessibleName(title)
        menu.setToolTipsVisible(True)
        return menu

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() in _KEY_EVENTS:
            number = from_x11(event.nativeScanCode())
            if number is not None and not event.isAutoRepeat():
                self.consumed = False
                self.key_pressed.emit(number, event.type() == QEvent.Type.KeyPress)
                return self.consumed
        return super().eventFilter(source, event)

    def section(self, section: Section) -> QMenu:
        """Return a section's menu, to add actions that exist already; it is shown from now on."""
        menu = self._sections[section]
        menu.menuAction().setVisible(True)
        return menu

    def add(
        self,
        section: Section | None,
        text: str,
        run: Callable[[], object],
        *,
        icon: str = "",
        command: ViewCommand | None = None,
        checkable: bool = False,
    ) -> QAction:
        """Add an action to a section; None: to the menu itself, below the sections.

        Args:
            section: The section.
            text: The action's word.
            run: Called when it is chosen, by the pointer, a key or its shortcut.
            icon: A name in `icons.NAMES`.
            command: Its command, which may have a shortcut.
            checkable: It is on or off.
        """
        action = QAction(plain_action(text), self)
        action.setCheckable(checkable)
        if icon:
            action.setIcon(icons.icon(icon))
        action.triggered.connect(lambda _checked=False: run())
        (self.root if section is None else self.section(section)).addAction(action)
        if command is not None:
            self.bind(command, action)
        return action

    def bind(self, command: ViewCommand, action: QAction) -> None:
        """Make an action the one of a command, and show its shortcut."""
        self._commands[command] = action
        self.set_text(action, action.text().partition("\t")[0].replace("&&", "&"))
        self.shortcuts_changed.emit()

    def submenu(self, section: Section, title: str, icon: str = "") -> QMenu:
        """Add a menu to a section."""
        menu = self._new_menu(title, self.section(section))
        if icon:
            menu.setIcon(icons.icon(icon))
        self.section(section).addMenu(menu)
        return menu

    def separate(self, section: Section) -> None:
        """Add a line to a section."""
        self._sections[section].addSeparator()

    def set_text(self, action: QAction, text: str) -> None:
        """Set an action's word; its shortcut stays behind it."""
        chord = self._chord_of(action)
        action.setText(plain_action(text) + (f"\t{chord}" if chord else ""))

    def set_refusal(self, action: QAction, reason: str) -> None:
        """Disable an action for a reason, which its tooltip says; enable it where that is empty."""
        action.setEnabled(not reason)
        action.setToolTip(plain_tooltip(reason))
        action.setStatusTip(reason)

    def _chord_of(self, action: QAction) -> str:
        """Return an action's shortcut, as a user reads it; empty for none."""
        for command, other in self._commands.items():
            if other is action and command in _LETTERS:
                return f"{self._release_key}+{_LETTERS[command]}"
        return ""

    @property
    def shortcuts(self) -> frozenset[ViewCommand]:
        """The commands that have an action."""
        return frozenset(self._commands)

    def trigger(self, command: ViewCommand) -> None:
        """Execute a command's action, as a click on it does."""
        action = self._commands.get(command)
        if action is None:
            return
        if action.isEnabled():
            action.trigger()
        else:
            word = action.text().partition("\t")[0].replace("&&", "&")
            self.refused.emit(f"{word}: {action.statusTip() or 'not possible now'}")

    def open_at(self, place: QPoint) -> None:
        """Show the menu at a point of the display, with its first item chosen for the keyboard."""
        self.root.popup(place)
        # Not setActiveAction: it opens the first section, too.
        down = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Down, Qt.KeyboardModifier.NoModifier)
        QApplication.sendEvent(self.root, down)


def add_scale_actions(menu: QMenu, current: Callable[[], ScreenView]) -> None:
    """Fill the menu "Scale".

    The marks are set when the menu opens. In a view that sends no input, or whose display cannot be
    resized, the entries for the guest's size are off, and a tooltip has the reason.

    Args:
        menu: The menu.
        current: Returns the view that the actions change.
    """
    menu.setToolTipsVisible(True)
    menu.aboutToShow.connect(_ScaleEntries(menu, current).update)


class _ScaleEntries(QObject):
    """The entries of the menu, which owns this."""

    def __init__(self, menu: QMenu, current: Callable[[], ScreenView]) -> None:
        super().__init__(menu)
        self._current = current
        self._scales: dict[Scaling, QAction] = {}
        group = QActionGroup(menu)
        for scaling, label in _SCALES.items():
            action = self._scales[scaling] = menu.addAction(label)
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, to=scaling: self._viewer.set_scaling(to))
            group.addAction(action)
        menu.addSeparator()
        self._smooth = menu.addAction("Smooth pixels")
        self._smooth.setCheckable(True)
        self._smooth.triggered.connect(lambda on: self._viewer.set_smooth(on))
        menu.addSeparator()
        self._usual = menu.addAction("Resize window to guest")
        self._usual.triggered.connect(lambda: self._viewer.picture.take_usual_size())
        self._once = menu.addAction("Resize guest to window")
        self._once.triggered.connect(lambda: self._viewer.guest_size.resize_once())
        self._sticky = menu.addAction("Keep guest at the window's size")
        self._sticky.setCheckable(True)
        self._sticky.triggered.connect(lambda on: self._viewer.guest_size.set_sticky(on))
        self.update()

    @property
    def _viewer(self) -> Viewer:
        return self._current().viewer

    def update(self) -> None:
        """Set the marks, and which entries are on."""
        viewer, window = self._viewer, self._current().window()
        self._scales[viewer.scaling].setChecked(True)
        self._smooth.setChecked(viewer.picture.smooth)
        self._sticky.setChecked(viewer.guest_size.sticky)
        refusal = "this window is view only" if viewer.view_only else viewer.guest_size.refusal
        for action in (self._once, self._sticky):
            action.setEnabled(not refusal)
            action.setToolTip(_plain(f"Not possible: {one_line(refusal)}") if refusal else "")
        full = window.isFullScreen() or window.isMaximized()
        why = "the window fills the display" if full else ""
        if viewer.picture.mode is None:
            why = "there is no picture yet"
        self._usual.setEnabled(not why)
        self._usual.setToolTip(_plain(f"Not possible: {why}") if why else "")


def _plain(words: str) -> str:
    """Return a tooltip with these words, in which Qt finds no other HTML."""
    return f"<qt>{html.escape(words)}</qt>"
