"""The screens of a machine with several: a window for each, or side by side in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QGuiApplication, QScreen
from PySide6.QtWidgets import QHBoxLayout, QWidget

from ..contract import Status
from ..geometry import spread
from .painting import BACKGROUND
from .remembering import keep_inside
from .widget import ScreenView

if TYPE_CHECKING:
    from .window import MachineWindow

_GAP = 2


class ShownScreens(StrEnum):
    """The screens that are shown of a machine with several."""

    ONE = "one"
    WINDOWS = "windows"
    SIDE_BY_SIDE = "side-by-side"


class HeadWindows(QObject):
    """The windows of one machine, at most one for each screen.

    When one of several fills its display, the others fill the other displays; when one becomes a
    window again, all do.

    Args:
        make_window: Makes the window of a screen, which is not shown yet.
        count: How many screens the machine has.
    """

    def __init__(self, make_window: Callable[[int], MachineWindow], count: int) -> None:
        super().__init__()
        self._make_window, self._count = make_window, count
        self._windows: dict[int, MachineWindow] = {}
        self._spreading = False

    @property
    def windows(self) -> list[MachineWindow]:
        """The open windows, in the order of their screens."""
        return [self._windows[console] for console in sorted(self._windows)]

    def window(self, console: int) -> MachineWindow:
        """Return the window of a screen; a new one is not shown yet."""
        if console not in self._windows:
            window = self._windows[console] = self._make_window(console)
            window.installEventFilter(self)
            if self._count > 1:
                self._add_actions(window)
        return self._windows[console]

    def show(self, console: int) -> None:
        """Show the window of a screen, in front."""
        window = self.window(console)
        window.show()
        window.raise_()
        window.activateWindow()

    def show_all(self) -> None:
        """Show a window for each screen."""
        for console in range(self._count):
            if console not in self._windows or not self._windows[console].isVisible():
                self.show(console)

    def _add_actions(self, window: MachineWindow) -> None:
        menu = window.screens_menu()
        for console in range(self._count):
            action = menu.addAction(f"Screen {console + 1}")
            action.triggered.connect(lambda _=False, at=console: self.show(at))
        menu.addSeparator()
        menu.addAction("A window for each screen").triggered.connect(self.show_all)

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Close:
            for console, window in list(self._windows.items()):
                if window is source:
                    del self._windows[console]
        elif event.type() == QEvent.Type.WindowStateChange and not self._spreading:
            for console, window in self._windows.items():
                if window is source:
                    self._follow(console, window)
                    break
        return super().eventFilter(source, event)

    def _follow(self, first: int, changed: MachineWindow) -> None:
        """Have the other windows fill their displays, or not, as this one does."""
        on = changed.isFullScreen()
        displays = sorted(QGuiApplication.screens(), key=_left_edge)
        at = displays.index(changed.screen())
        placed = spread(sorted(self._windows), first, at, len(displays)) if on else {}
        self._spreading = True
        try:
            for console, window in self._windows.items():
                if window is changed or window.isFullScreen() == on or not window.isVisible():
                    continue
                if not on:
                    window.set_full_screen(False)
                elif console in placed:
                    _fill(window, displays[placed[console]])
        finally:
            self._spreading = False


def _left_edge(display: QScreen) -> tuple[int, int]:
    return display.geometry().x(), display.geometry().y()


def _fill(window: MachineWindow, display: QScreen) -> None:
    """Have a window fill a display, which the window manager finds by the window's place."""
    if window.screen() is not display:
        window.move(display.availableGeometry().topLeft())
        handle = window.windowHandle()
        if handle is not None:
            handle.setScreen(display)
    window.set_full_screen(True)


class HeadsRow(QWidget):
    """The screens of a machine side by side in one window; their widths are as in the guest.

    The status strip and the menu are those of the first screen. Keys go to the screen that was
    clicked last.

    Args:
        window: The first screen's window.
        others: The further screens; each shows its machine already.
    """

    def __init__(self, window: MachineWindow, others: Sequence[ScreenView]) -> None:
        super().__init__(window)
        palette = self.palette()
        palette.setColor(self.backgroundRole(), BACKGROUND)
        self.setPalette(palette)
        self.setAutoFillBackground(True)  # the gap
        self._window = window
        self.views = [window.view, *others]
        self._wanted: dict[ScreenView, QSize] = {}
        outer = window.layout()
        if outer is not None:
            outer.replaceWidget(window.view, self, Qt.FindChildOption.FindDirectChildrenOnly)
        row = self._row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(_GAP)
        for index, view in enumerate(self.views):
            row.addWidget(view, 1)
            view.setAccessibleName(f"Screen {index + 1}")
            view.status_changed.connect(lambda status, at=index: self._share(at, status))
        window.view.size_wanted.disconnect()
        for view in self.views:
            view.size_wanted.connect(lambda size, view=view: self._take_size(view, size))
        for view in others:
            view.commanded.connect(window.command)
            view.noted.connect(window.view.noted)
        window.installEventFilter(self)

    def _share(self, at: int, status: Status) -> None:
        """Give a screen its share of the width."""
        if status.size[0] and self._row.stretch(at) != status.size[0]:
            self._row.setStretch(at, status.size[0])

    def _take_size(self, view: ScreenView, size: QSize) -> None:
        """Resize the window for all screens once each has its first picture."""
        self._wanted[view] = size
        window = self._window
        if len(self._wanted) < len(self.views) or window.isFullScreen() or window.isMaximized():
            return
        width = sum(each.width() for each in self._wanted.values()) + _GAP * (len(self.views) - 1)
        height = max(each.height() for each in self._wanted.values())
        around = window.size() - self.size()
        room = window.screen().availableSize() - (window.frameGeometry().size() - window.size())
        room -= around
        if width > room.width():
            width, height = room.width(), height * room.width() // width
        window.resize(QSize(width, min(height, room.height())) + around)
        keep_inside(window)

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Close:
            for view in self.views[1:]:
                view.viewer.closed()
        elif event.type() == QEvent.Type.ActivationChange and not self._window.isActiveWindow():
            for view in self.views[1:]:
                view.viewer.focused(False)
        return super().eventFilter(source, event)
