"""A window around one screen: status strip, menu, badge, messages, full screen."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QMenu,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...escaping import one_line
from ..badge import badge_of
from ..contract import Status, ViewCommand
from .badge import BadgeWidget
from .contrast import OverlayFrame
from .key_actions import KeyboardActions
from .machine_actions import MachineActions
from .menu import ConsoleMenu, Section, add_scale_actions
from .numbers import NumbersOverlay
from .palette import GRID, NOTE, tool_button, use_role, wrapped_label
from .remembering import keep_inside
from .strip import Strip
from .tools.capture import Capture
from .tools.screen_tools import ScreenTools
from .view_parts import ViewParts
from .widget import ScreenView

#: Milliseconds that a note is shown: at least, and for each character.
_NOTE_MS, _NOTE_CHARACTER_MS = 3000, 60
_FIRST_SIZE = QSize(720, 428)


class MachineWindow(QWidget):
    """A window for one screen.

    Args:
        view: The screen; it shows a machine already.

    Attributes:
        view: The same.
        console: Its parts, for modules with further actions.
        numbers: The figures of the window, hidden at first.
        tools: Paste, loupe, text, needles and recording.
    """

    def __init__(self, view: ScreenView) -> None:
        super().__init__()
        self.view = view
        viewer = view.viewer
        self._menu = ConsoleMenu(self, viewer.input.release_key)
        self._strip = Strip()
        # Children of the viewport: Qt tells a screen reader of no others in a scroll area.
        self._note = Note(view.viewport())
        self.console = ViewParts(self, view, self._menu, self._note.show_text, self._strip.add)
        self._machine = MachineActions(self.console)
        self._badge = BadgeWidget(view.viewport(), self._machine.run)
        self.numbers = NumbersOverlay(viewer, view)
        self._keys = KeyboardActions(self.console)
        self._add_view_actions()
        self._capture = Capture(self.console)
        self._strip.add(self._capture.button)
        self.tools: ScreenTools = ScreenTools(self.console)
        self._status = Status(viewer.name)
        self._menu.add(
            None, "Close; the machine keeps running", lambda: self.execute(ViewCommand.CLOSE),
            icon="close", command=ViewCommand.CLOSE,
        )  # fmt: skip
        self._lay_out()
        self._connect()
        view.setFocus()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setSpacing(0)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._strip)
        self.setMouseTracking(True)  # for `ScreenView`, at its edges
        self.setWindowTitle(one_line(f"{self.view.viewer.name} \N{EN DASH} kju"))
        self.resize(_FIRST_SIZE)

    def _connect(self) -> None:
        menu = self._menu
        self.console.status_changed.connect(self._show_status)
        self.set_follows_view(True)
        self._machine.state_changed.connect(lambda _: self._show_badge())
        opens = QAction(self)
        opens.triggered.connect(self._open_menu)
        self._strip.menu_button.clicked.connect(self._open_menu)
        menu.bind(ViewCommand.MENU, opens)
        menu.refused.connect(self._note.show_text)
        menu.root.aboutToShow.connect(lambda: self.console.view.viewer.input.popup(True))
        menu.root.aboutToHide.connect(lambda: self.console.view.viewer.input.popup(False))
        menu.key_pressed.connect(self._take_menu_key)
        menu.shortcuts_changed.connect(self._set_shortcuts)
        self._connect_view(self.view)
        self.console.view_added.connect(self._connect_view)

    def _connect_view(self, view: ScreenView) -> None:
        view.noted.connect(self._note.show_text)
        view.commanded.connect(self.command)
        self._set_shortcuts()

    def _set_shortcuts(self) -> None:
        for view in self.console.views:
            view.viewer.input.set_shortcuts(self._menu.shortcuts)

    # ---- The menu

    def _add_view_actions(self) -> None:
        menu = self._menu
        self._full = menu.add(
            Section.VIEW, "Full screen", lambda: self.execute(ViewCommand.FULL_SCREEN),
            icon="full-screen", command=ViewCommand.FULL_SCREEN, checkable=True,
        )  # fmt: skip
        add_scale_actions(menu.submenu(Section.VIEW, "Scale", "scale"), lambda: self.console.view)
        menu.separate(Section.VIEW)
        self._show_numbers = menu.add(
            Section.VIEW, "Numbers", lambda: self.show_numbers(self.numbers.isHidden()),
            icon="gauge", command=ViewCommand.NUMBERS, checkable=True,
        )  # fmt: skip
        self._view_only = menu.add(
            Section.VIEW, "View only: send no input",
            self._toggle_view_only, icon="eye", checkable=True,
        )  # fmt: skip

    def _toggle_view_only(self) -> None:
        viewer = self.console.view.viewer
        viewer.set_view_only(not viewer.view_only)

    def _open_menu(self) -> None:
        if self._strip.isVisible():
            size = self._menu.root.sizeHint()
            corner = self._strip.mapToGlobal(QPoint(self._strip.width(), 0))
            self._menu.open_at(corner - QPoint(size.width(), size.height()))
        else:
            left = (self.width() - self._menu.root.sizeHint().width()) // 2
            self._menu.open_at(self.mapToGlobal(QPoint(left, 2 * GRID)))

    def _take_menu_key(self, number: int, down: bool) -> None:
        keyboard = self.console.view.viewer.input
        was_grabbed = keyboard.grabbed
        self._menu.consumed = keyboard.popup_key(number, down)
        if was_grabbed and not keyboard.grabbed:
            self._menu.root.close()

    def add_screens_menu(self) -> QMenu:
        """Add the menu of a machine's further screens, with a button in the strip; return it."""
        menu = self._menu.submenu(Section.VIEW, "Screens", "screens")
        button = tool_button("screens", "Screens")
        button.setMenu(menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._strip.add(button)
        return menu

    # ---- Commands

    def command(self, command: ViewCommand) -> None:
        """Execute a command from the keyboard, as a click on its item does."""
        self._menu.trigger(command)

    def execute(self, command: ViewCommand) -> None:
        """Execute a command that concerns the window itself: full screen, or close."""
        if command is ViewCommand.FULL_SCREEN:
            self.set_full_screen(not self.isFullScreen())
        elif command is ViewCommand.CLOSE:
            self.close()

    def show_numbers(self, on: bool) -> None:
        """Show or hide the figures of this window; hidden, they cost nothing."""
        self._show_numbers.setChecked(on)
        self.numbers.setVisible(on)

    def set_full_screen(self, on: bool) -> None:
        """Fill the display with the picture, or return to the window."""
        keyboard = self.view.viewer.input
        self._strip.setVisible(not on)
        self._full.setChecked(on)
        if on:
            self.showFullScreen()
        else:
            self.showNormal()
        keyboard.full_screen(on)
        if on:
            first = f"{keyboard.release_key} releases the keyboard, " if keyboard.grabbed else ""
            key = keyboard.release_key
            self._note.show_text(f"{first}{key}+F leaves the full screen, {key}+M opens the menu")

    def set_follows_view(self, on: bool) -> None:
        """Resize the window with its view, or leave that to a row of several views."""
        if on:
            self.view.size_wanted.connect(self._take_size)
        else:
            self.view.size_wanted.disconnect(self._take_size)

    def _take_size(self, size: QSize) -> None:
        if self.isWindow() and not self.isFullScreen() and not self.isMaximized():
            self.resize(size + (self.size() - self.view.viewport().size()))
            keep_inside(self)

    # ---- Status and messages

    def _show_status(self, status: Status) -> None:
        self._status = status
        self.setWindowTitle(one_line(status.title))
        self._strip.show_status(status)
        self._view_only.setChecked(status.view_only)
        self._show_badge()

    def _show_badge(self) -> None:
        has_picture = all(self._status.size)
        badge = badge_of(self._status, self._machine.control.state, has_picture)
        self._badge.show_badge(badge)

    # ---- Events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_overlays()

    def _place_overlays(self) -> None:
        self._badge.place()
        self._note.place()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange:
            if not self.isActiveWindow() and QApplication.activePopupWidget() is None:
                self.view.viewer.focused(False)
        elif event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange):
            self._strip.refresh()
            self._badge.refresh()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.hide()
        self._machine.close()
        self._keys.close()
        self._capture.close()
        self.view.viewer.closed()
        event.accept()


class Note(OverlayFrame):
    """A message over the picture that disappears by itself.

    Args:
        parent: The view.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName(NOTE)
        self._text = wrapped_label("")
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self.hide)
        use_role(self, QPalette.ColorRole.ToolTipBase, QPalette.ColorRole.ToolTipText)
        self._text.setForegroundRole(QPalette.ColorRole.ToolTipText)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        row = QHBoxLayout(self)
        row.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        row.addWidget(self._text)
        self.hide()

    @property
    def text(self) -> str:
        """The message."""
        return self._text.text()

    def show_text(self, message: str) -> None:
        """Show a message for a few seconds."""
        message = one_line(message)
        self._text.setText(message)
        self._text.setAccessibleName(message)
        self.place()
        self.show()
        self.raise_()
        self._timer.start(max(_NOTE_MS, _NOTE_CHARACTER_MS * len(message)))

    def place(self) -> None:
        """Take its place at the lower edge of the parent, in several lines where it is narrow."""
        parent = self.parentWidget()
        if parent is None:
            return
        room = parent.size() - QSize(2 * GRID, 2 * GRID)
        frame = 2 * self.frameWidth()
        around = 4 * GRID + frame  # the margins at both sides
        whole = self.fontMetrics().horizontalAdvance(self._text.text()) + around + 1
        width = min(whole, room.width())
        height = self._text.heightForWidth(max(1, width - around)) + 2 * GRID + frame
        self.resize(width, min(height, room.height()))
        left = (parent.width() - self.width()) // 2
        self.move(left, max(0, parent.height() - self.height() - 2 * GRID))
