"""A window around one screen: status line, menu, full screen."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from PySide6.QtCore import QEvent, QSize, QStandardPaths, Qt, QTimer
from PySide6.QtGui import QAction, QCloseEvent, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QToolButton, QVBoxLayout, QWidget

from ...errors import KjuError
from ...escaping import one_line
from ...files import make_folders
from ...keys import NUMBERS
from ..contract import Status, ViewCommand
from .numbers import NumbersOverlay
from .painting import BACKGROUND
from .remembering import keep_inside
from .scale_menu import add_scale_actions
from .widget import ScreenView

_STRIP = """
#strip { background: #232326; }
#strip QLabel { color: #b4b4b8; }
#strip QToolButton { color: #b4b4b8; border: none; padding: 2px 10px; }
#strip QToolButton:hover { color: #ffffff; background: #3a3a3f; }
#strip QToolButton::menu-indicator { image: none; }
"""
_NOTE = """
color: #f0f0f0; background: rgba(20, 20, 22, 215); border-radius: 6px; padding: 8px 14px;
"""
_NOTE_MS = 3000
_FIRST_SIZE = QSize(720, 428)


class MachineWindow(QWidget):
    """A window for one screen.

    Args:
        view: The screen; it shows a machine already.

    Attributes:
        numbers: The figures of the window, hidden at first.
    """

    def __init__(self, view: ScreenView) -> None:
        super().__init__()
        self.view = view
        self._left, self._right = _plain_label(), _plain_label()
        self._note = _plain_label(view)
        self._note.setStyleSheet(_NOTE)
        self._note.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._note.hide()
        self.numbers = NumbersOverlay(view.viewer, view)
        self._hide_note = QTimer(self, singleShot=True, interval=_NOTE_MS)
        self._hide_note.timeout.connect(self._note.hide)
        self._make_actions()
        self._strip = self._make_strip()
        layout = QVBoxLayout(self)
        layout.setSpacing(0)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(view, 1)
        layout.addWidget(self._strip)
        palette = self.palette()
        palette.setColor(self.backgroundRole(), BACKGROUND)
        self.setPalette(palette)
        self.setMouseTracking(True)  # for `ScreenView`, at its edges
        self.setWindowTitle(one_line(f"{view.viewer.name} \N{EN DASH} kju"))
        self.resize(_FIRST_SIZE)
        view.status_changed.connect(self._show_status)
        view.noted.connect(self._show_note)
        view.commanded.connect(self.command)
        view.size_wanted.connect(self._take_size)
        view.setFocus()

    # ---- The menu

    def _make_actions(self) -> None:
        viewer, key = self.view.viewer, self.view.viewer.input.release_key
        self._menu = QMenu(self)
        self._grab = self._menu.addAction(f"Grab the keyboard\t{key}")
        self._grab.triggered.connect(lambda: viewer.input.grab(not viewer.input.grabbed))
        send = self._menu.addAction("Send Ctrl+Alt+Delete")
        keys = tuple(NUMBERS[name] for name in ("ctrl", "alt", "delete"))
        send.triggered.connect(lambda: viewer.input.press_chord(keys))
        for action in (self._grab, send):
            action.setVisible(not viewer.view_only)
        self._menu.addSeparator()
        self._full = self._add_command(f"Full screen\t{key}+F", ViewCommand.FULL_SCREEN)
        self._full.setCheckable(True)
        self._add_command(f"Screenshot\t{key}+S", ViewCommand.SCREENSHOT)
        self._show_numbers = self._add_command(f"Numbers\t{key}+N", ViewCommand.NUMBERS)
        self._show_numbers.setCheckable(True)
        add_scale_actions(self._menu.addMenu("Scale"), self.view)
        self._menu.addSeparator()
        self._add_command(f"Close; the machine keeps running\t{key}+W", ViewCommand.CLOSE)

    def _add_command(self, label: str, command: ViewCommand) -> QAction:
        action = self._menu.addAction(label)
        action.triggered.connect(lambda: self.command(command))
        return action

    def _make_strip(self) -> QWidget:
        strip = QWidget()
        strip.setObjectName("strip")
        strip.setStyleSheet(_STRIP)
        button = QToolButton()
        button.setText("\N{TRIGRAM FOR HEAVEN}")
        button.setToolTip("Menu")
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setMenu(self._menu)
        row = QHBoxLayout(strip)
        row.setContentsMargins(10, 1, 0, 1)
        row.addWidget(self._left, 1)
        row.addWidget(self._right)
        row.addWidget(button)
        # The left text is cut in a narrow window.
        self._left.setMinimumWidth(1)
        return strip

    def screens_menu(self) -> QMenu:
        """Add the menu of a machine's further screens, and return it."""
        menu = QMenu("Screens", self._menu)
        self._menu.insertMenu(self._menu.actions()[-1], menu)
        return menu

    # ---- Commands

    def command(self, command: ViewCommand) -> None:
        """Execute a command from the keyboard or the menu."""
        match command:
            case ViewCommand.FULL_SCREEN:
                self.set_full_screen(not self.isFullScreen())
            case ViewCommand.SCREENSHOT:
                self.view.viewer.save(_picture_path(self.view.viewer.name))
            case ViewCommand.NUMBERS:
                self.show_numbers(self.numbers.isHidden())
            case ViewCommand.CLOSE:
                self.close()

    def show_numbers(self, on: bool) -> None:
        """Show or hide the figures of this window; hidden, they cost nothing."""
        self._show_numbers.setChecked(on)
        self.numbers.setVisible(on)

    def set_full_screen(self, on: bool) -> None:
        """Fill the display with the picture, or return to the window."""
        self._strip.setVisible(not on)
        self._full.setChecked(on)
        if on:
            self.showFullScreen()
            self._show_note(f"{self.view.viewer.input.release_key}+F leaves the full screen")
        else:
            self.showNormal()

    def _take_size(self, size: QSize) -> None:
        if not self.isFullScreen() and not self.isMaximized():
            self.resize(size + (self.size() - self.view.viewport().size()))
            keep_inside(self)

    # ---- Status and messages

    def _show_status(self, status: Status) -> None:
        self.setWindowTitle(one_line(status.title))
        self._left.setText(one_line(status.left_text))
        self._right.setText(one_line(status.right_text))
        verb = "Release" if status.grabbed else "Grab"
        self._grab.setText(f"{verb} the keyboard\t{status.release_key}")

    def _show_note(self, message: str) -> None:
        self._note.setText(one_line(message))
        self._note.adjustSize()
        self._place_note()
        self._note.show()
        self._note.raise_()
        self._hide_note.start()

    def _place_note(self) -> None:
        self._note.move((self.view.width() - self._note.width()) // 2, 16)

    # ---- Events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_note()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and not self.isActiveWindow():
            self.view.viewer.focused(False)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.hide()
        self.view.viewer.closed()
        event.accept()


def _plain_label(parent: QWidget | None = None) -> QLabel:
    """Return a label for plain text: by default Qt draws HTML, and loads its images."""
    label = QLabel(parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _picture_path(name: str) -> Path:
    """Return a path for a screenshot in the user's pictures folder, else in this folder."""
    folder = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.PicturesLocation)
    place = Path(folder) if folder else Path.cwd()
    with contextlib.suppress(KjuError):  # the error of saving names the reason
        make_folders(place)
    return place / time.strftime(f"{name}-%Y%m%d-%H%M%S.png")
