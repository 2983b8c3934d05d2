"""Windows that open where they were, as they were: `kju.viewers.settings` has the file."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QGuiApplication, QScreen
from PySide6.QtWidgets import QWidget

from ...surface.geometry import Rect
from ..geometry import on_displays
from ..settings import SIDE_BY_SIDE, MachineSettings, WindowSettings, load, update_soon
from .widget import ScreenView

# A window that is dragged has sixty places a second; one second after the last it is saved.
_SAVE_MS = 1000
# Width and height that a frame adds at most; it is not known before a window is shown.
_FRAME = (8, 36)
_CHANGES = {QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.WindowStateChange}


def keep_inside(window: QWidget) -> None:
    """Move a window that has become too large for its place, so that all of it can be seen."""
    display, frame = _usable_part(window.screen()), window.frameGeometry()
    x = max(display.x, min(frame.x(), display.right - frame.width()))
    y = max(display.y, min(frame.y(), display.bottom - frame.height()))
    if (x, y) != (frame.x(), frame.y()):
        window.move(x, y)


class WindowMemory(QObject):
    """Restores the place, size and scale of one screen's window, and saves their changes.

    A window whose size follows the guest's modes has only its place saved, and one that is part of
    another window keeps the place that is known. The file is written on a thread, a second after
    the last change and when the window closes.

    Args:
        window: The window.
        view: Its screen; it shows a machine already.
        index: Returns the screen's index; `SIDE_BY_SIDE` while the window shows all screens.
        known: The settings that are in the file.
    """

    def __init__(
        self, window: QWidget, view: ScreenView, index: Callable[[], int], known: WindowSettings
    ) -> None:
        super().__init__(window)
        self._window, self._view, self._index = window, view, index
        self._saved = known
        self._place, self._size, self._maximized = known.place, known.size, known.maximized
        self._saving: threading.Thread | None = None
        self._fault = ""
        self._soon = QTimer(self, singleShot=True, interval=_SAVE_MS)
        self._soon.timeout.connect(self.save)
        self._restore(known)
        window.installEventFilter(self)

    def _restore(self, known: WindowSettings) -> None:
        viewer = self._view.viewer
        if self._window.isWindow():
            self._restore_place(known)
        viewer.guest_size.set_sticky(known.sticky and not viewer.view_only)

    def _restore_place(self, known: WindowSettings) -> None:
        window, viewer = self._window, self._view.viewer
        width, height = known.size or (window.width(), window.height())
        displays = [_usable_part(each) for each in QGuiApplication.screens()]
        if known.place is not None and displays:
            framed = Rect(*known.place, width + _FRAME[0], height + _FRAME[1])
            place = on_displays(framed, displays)
            window.move(place.x, place.y)
            width, height = place.width - _FRAME[0], place.height - _FRAME[1]
        if known.size is not None:
            window.resize(width, height)
            viewer.picture.keep_size()
        if known.maximized:
            window.setWindowState(window.windowState() | Qt.WindowState.WindowMaximized)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in _CHANGES and self._window.isVisible() and self._window.isWindow():
            self._note_geometry()
            self._soon.start()
        elif event.type() == QEvent.Type.Close:
            self.save()
        return super().eventFilter(watched, event)

    def _note_geometry(self) -> None:
        window = self._window
        self._maximized = window.isMaximized()
        if not (window.isMaximized() or window.isFullScreen() or window.isMinimized()):
            self._place = window.x(), window.y()
            picture = self._view.viewer.picture
            follows = self._index() == SIDE_BY_SIDE or picture.has_usual_size
            self._size = None if follows else (window.width(), window.height())

    def save(self) -> None:
        """Save the settings that have changed since the last time."""
        self._soon.stop()
        viewer = self._view.viewer
        now = WindowSettings(
            self._place, self._size, self._maximized, viewer.scaling,
            viewer.picture.smooth, viewer.guest_size.sticky,
        )  # fmt: skip
        if now == self._saved:
            return
        self._saved = now

        index = self._index()

        def change(known: MachineSettings) -> None:
            known.windows[index] = now

        self._saving = update_soon(viewer.name, change, self._post_fault)

    def _post_fault(self, reason: str) -> None:
        """Show once why settings were not saved; called on a thread."""
        if reason != self._fault:
            self._fault = reason
            post_note(self._view, reason)


def post_note(view: ScreenView, text: str) -> None:
    """Show a message in a view, from any thread; nothing happens if the view has been deleted."""
    backend = view.viewer.backend
    with contextlib.suppress(RuntimeError):
        backend.post(lambda: backend.notify(text))


def _usable_part(display: QScreen) -> Rect:
    part = display.availableGeometry()
    return Rect(part.x(), part.y(), part.width(), part.height())


def remember(
    window: QWidget,
    view: ScreenView,
    index: Callable[[], int],
    on_known: Callable[[MachineSettings], None],
) -> None:
    """Restore a window as soon as its settings were read, on a thread, and save their changes.

    Args:
        window: The window.
        view: Its screen.
        index: See `WindowMemory`.
        on_known: Called with all that is remembered of the machine, after the window is restored.
    """
    viewer, first = view.viewer, index()

    def read() -> None:
        machine = load(viewer.name)
        with contextlib.suppress(RuntimeError):  # the window has been deleted
            viewer.backend.post(lambda: restore(machine))

    def restore(machine: MachineSettings) -> None:
        known = machine.window(first)
        viewer.set_scaling(known.scaling)
        viewer.set_smooth(known.smooth)
        WindowMemory(window, view, index, known)
        on_known(machine)

    threading.Thread(target=read, name="kju-settings", daemon=True).start()
