"""The screens of a machine with several: a window for each, or side by side in one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QScreen
from PySide6.QtWidgets import QHBoxLayout, QMenu, QWidget

from ..contract import Status
from ..geometry import spread
from ..settings import ShownScreens
from .painting import BACKGROUND
from .remembering import keep_inside
from .widget import ScreenView

if TYPE_CHECKING:
    from .window import MachineWindow

_GAP = 2


class HeadWindows(QObject):
    """The windows of one machine, at most one for each screen.

    When one of several fills its display, the others fill the other displays; when one becomes a
    window again, all do. The menu *Screens* of each window shows the others, or shows all screens
    side by side in the first one's window.

    Args:
        factory: Makes windows and views.
        count: Number of the machine's screens.
    """

    #: The user has chosen the screens that are shown: a `ShownScreens`.
    chosen = Signal(object)

    def __init__(self, factory: HeadFactory, count: int) -> None:
        super().__init__()
        self._factory, self._count = factory, count
        self._windows: dict[int, MachineWindow] = {}
        self._menus: dict[int, QMenu] = {}
        self._row: HeadsRow | None = None
        self._spreading = False

    @property
    def windows(self) -> list[MachineWindow]:
        """The open windows, in the order of their screens."""
        return [self._windows[console] for console in sorted(self._windows)]

    @property
    def row(self) -> HeadsRow | None:
        """The screens side by side; None while each has a window."""
        return self._row

    def set_count(self, count: int) -> None:
        """Take the number of screens, which may differ after a restart of the machine."""
        if count != self._count:
            self._count = count
            for menu in self._menus.values():
                self._fill(menu)

    def window(self, console: int) -> MachineWindow:
        """Return the window of a screen; a new one is not shown yet."""
        if console not in self._windows:
            self.add(console, self._factory.make_window(console))
        return self._windows[console]

    def add(self, console: int, window: MachineWindow) -> None:
        """Take a window that exists as that of a screen."""
        if self._windows.get(console) is window:
            return
        self._windows[console] = window
        window.installEventFilter(self)
        if self._count > 1:
            menu = self._menus[console] = window.add_screens_menu()
            self._fill(menu)

    # ---- Showing

    def show(self, console: int) -> None:
        """Show a screen in front: its window, or its place in the row."""
        if self._row is not None:
            self._factory.raise_window(self._row.machine_window)
            self._row.focus(console)
        else:
            self._factory.raise_window(self.window(console))

    def show_all(self) -> None:
        """Show a window for each screen."""
        self._end_row()
        for console in range(self._count):
            if console not in self._windows or not self._windows[console].isVisible():
                self.show(console)

    def show_side_by_side(self) -> None:
        """Show all screens in the first one's window; the others' windows close."""
        if self._row is not None or self._count < 2:
            return
        first = self.window(0)
        self._close_others(first)
        views = [self._factory.make_view(console) for console in range(1, self._count)]
        self._row = HeadsRow(first, views)
        self._factory.raise_window(first)

    def show_only(self, console: int) -> None:
        """Show one screen; the others' windows close."""
        self._end_row()
        window = self.window(console)
        self._factory.raise_window(window)
        self._close_others(window)

    def arrange(self, screens: ShownScreens) -> None:
        """Apply an arrangement; nothing changes for `ShownScreens.ONE`."""
        if screens is ShownScreens.SIDE_BY_SIDE:
            self.show_side_by_side()
        elif screens is ShownScreens.WINDOWS:
            self.show_all()

    def _close_others(self, window: MachineWindow) -> None:
        for other in self.windows:
            if other is not window:
                other.close()

    def _end_row(self) -> None:
        row, self._row = self._row, None
        if row is not None:
            row.end()

    # ---- The menu

    def _fill(self, menu: QMenu) -> None:
        menu.clear()
        menu.menuAction().setVisible(self._count > 1)
        for console in range(self._count):
            action = menu.addAction(f"Screen {console + 1}")
            action.triggered.connect(lambda _=False, at=console: self.show(at))
        menu.addSeparator()
        for text, screens in (
            ("A window for each screen", ShownScreens.WINDOWS),
            ("Side by side in one window", ShownScreens.SIDE_BY_SIDE),
            ("This screen only", ShownScreens.ONE),
        ):
            action = menu.addAction(text)
            action.triggered.connect(lambda _=False, m=menu, s=screens: self._choose(m, s))

    def _choose(self, menu: QMenu, screens: ShownScreens) -> None:
        if screens is ShownScreens.ONE:
            console = next((at for at, other in self._menus.items() if other is menu), 0)
            self.show_only(console)
        else:
            self.arrange(screens)
        self.chosen.emit(screens)

    # ---- Events of the windows

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Close:
            for console, window in list(self._windows.items()):
                if window is source:
                    del self._windows[console]
                    self._menus.pop(console, None)
                    if self._row is not None and self._row.machine_window is window:
                        self._row = None  # it ends with its window
        elif event.type() == QEvent.Type.WindowStateChange and not self._spreading:
            for console, window in self._windows.items():
                if window is source and window.isWindow():
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
                if not window.isWindow():
                    continue  # a tab of another window
                if not on:
                    window.set_full_screen(False)
                elif console in placed:
                    _fill(window, displays[placed[console]])
        finally:
            self._spreading = False


class HeadFactory(NamedTuple):
    """Makes and raises the windows of a `HeadWindows`.

    Attributes:
        make_window: Makes the window of a screen, which is not shown yet.
        make_view: Makes a view of a screen, for a row.
        raise_window: Shows a window in front.
    """

    make_window: Callable[[int], MachineWindow]
    make_view: Callable[[int], ScreenView]
    raise_window: Callable[[MachineWindow], None]


def raise_window(window: MachineWindow) -> None:
    """Show a window in front of the others."""
    window.show()
    window.raise_()
    window.activateWindow()


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

    Keys, the menu and the status strip are for the screen that had the focus last.

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
            view.status_changed.connect(self._share)
        window.set_follows_view(False)
        for view in self.views:
            view.size_wanted.connect(self._take_size)
        for view in others:
            window.console.add_view(view)
        window.installEventFilter(self)
        self.show()

    @property
    def machine_window(self) -> MachineWindow:
        """The window that shows the row."""
        return self._window

    def focus(self, index: int) -> None:
        """Give the keyboard to a screen."""
        if index < len(self.views):
            self.views[index].setFocus()

    def end(self) -> None:
        """Show the first screen only; the views of the others end."""
        window = self._window
        window.removeEventFilter(self)
        first, others = self.views[0], self.views[1:]
        first.status_changed.disconnect(self._share)
        first.size_wanted.disconnect(self._take_size)
        outer = window.layout()
        if outer is not None:
            outer.replaceWidget(self, first, Qt.FindChildOption.FindDirectChildrenOnly)
        window.set_follows_view(True)
        for view in others:
            window.console.remove_view(view)
            view.viewer.closed()
        self.deleteLater()
        first.show()
        first.setFocus()

    def _share(self, status: Status) -> None:
        """Give each screen its share of the width."""
        modes = [view.viewer.picture.mode for view in self.views]
        widest = max((mode.width for mode in modes if mode is not None), default=0)
        for at, mode in enumerate(modes if widest else ()):
            width = mode.width if mode is not None else widest // 3
            if self._row.stretch(at) != width:
                self._row.setStretch(at, width)

    def _take_size(self, size: QSize) -> None:
        """Resize the window for all screens once each has its first picture."""
        view = self.sender()
        if isinstance(view, ScreenView):
            self._wanted[view] = size
        window = self._window
        if len(self._wanted) < len(self.views) or not window.isWindow():
            return
        if window.isFullScreen() or window.isMaximized():
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
