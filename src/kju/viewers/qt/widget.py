"""The Qt back end: a widget that shows one screen. `Viewer` makes the decisions.

`painting` draws the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCursor,
    QEnterEvent,
    QFocusEvent,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QRegion,
    QResizeEvent,
    QShowEvent,
    QWheelEvent,
    QWindow,
)
from PySide6.QtWidgets import QAbstractScrollArea, QApplication, QFrame, QWidget

from ...client.consumer.frame import Frame
from ...escaping import one_line
from ...keys import from_x11
from ...surface import Cursor
from ...surface.geometry import Rect
from ..contract import Backend, PointerShape, Status, ViewCommand, ViewState
from ..geometry import Placement, Scaling, device_size, logical_rect
from ..input.grab import HOLD_MS, KeyEvent, Repeats
from ..targets import MachineTarget, ViewerTarget
from ..viewer import Viewer
from .painting import PicturePainter, pointer

# One notch of a wheel in QWheelEvent.angleDelta: eighths of a degree.
_NOTCH = 120
_BUTTONS = {
    Qt.MouseButton.LeftButton: "left",
    Qt.MouseButton.MiddleButton: "middle",
    Qt.MouseButton.RightButton: "right",
    Qt.MouseButton.BackButton: "side",
    Qt.MouseButton.ForwardButton: "extra",
}
# The refresh rate of a display that does not announce one.
_USUAL_HZ = 60.0


class ScreenView(QAbstractScrollArea):
    """A widget for one console of one machine.

    Args:
        parent: Its parent widget.

    Attributes:
        viewer: Makes the decisions; set by `show_machine`.
    """

    status_changed = Signal(object)
    noted = Signal(str)
    commanded = Signal(object)
    size_wanted = Signal(QSize)
    #: It has received the keyboard focus.
    entered = Signal()
    _posted = Signal(object)

    viewer: Viewer

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painter = PicturePainter()
        self._guest_types = False  # Tab is the guest's, and does not move the focus
        self._painted: Callable[[], None] | None = None
        self._window_handle: QWindow | None = None
        self._visible = False
        self._repeats = Repeats()
        self._releases = QTimer(self, singleShot=True, interval=HOLD_MS)
        self._releases.timeout.connect(lambda: self._report_keys(self._repeats.flush()))
        self._posted.connect(self._call, Qt.ConnectionType.QueuedConnection)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.viewport().setMouseTracking(True)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.horizontalScrollBar().valueChanged.connect(self._scrolled)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)

    def show_machine(
        self,
        name: str,
        *,
        console: int = 0,
        view_only: bool = False,
        scaling: Scaling = Scaling.FIT,
        smooth: bool = True,
        release: str,
    ) -> None:
        """Show a console of a machine, once per view; arguments as of `Viewer`."""
        target = MachineTarget(name, console, view_only=view_only)
        self.show_target(target, scaling=scaling, smooth=smooth, release=release)

    def show_target(
        self,
        target: ViewerTarget,
        *,
        scaling: Scaling = Scaling.FIT,
        smooth: bool = True,
        release: str,
    ) -> None:
        """Show a target, once per view; arguments as of `Viewer`."""
        self.viewer = Viewer(
            _QtBackend(self), target, scaling=scaling, smooth=smooth, release=release
        )

    def _call(self, call: Callable[[], None]) -> None:
        call()

    # ---- Visibility

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        handle = self.window().windowHandle()
        if handle is not None and handle is not self._window_handle:
            self._window_handle = handle
            handle.installEventFilter(self)
            self.window().installEventFilter(self)
        self._update_visibility()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._update_visibility()

    def eventFilter(self, source: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Expose:
            self._update_visibility()
        if isinstance(event, QMouseEvent) and source is self.window():
            return self._forward_to_viewport(event)
        return super().eventFilter(source, event)

    def _forward_to_viewport(self, event: QMouseEvent) -> bool:
        """Forward an event at the viewport's last pixels, which Qt sends to the window.

        Qt's search for the widget under a point ends one logical pixel before the edge. At a
        fractional ratio that pixel contains device pixels of the viewport (Qt 6.11, 1.25, 1.5).
        """
        viewport = self.viewport()
        at = viewport.mapFrom(self.window(), event.position())
        if not QRectF(viewport.rect()).contains(at):
            return False
        own = QMouseEvent(
            event.type(), at, event.globalPosition(),
            event.button(), event.buttons(), event.modifiers(),
        )  # fmt: skip
        return QApplication.sendEvent(viewport, own)

    def _update_visibility(self) -> None:
        handle = self._window_handle
        visible = self.isVisible() and handle is not None and handle.isExposed()
        if visible != self._visible:
            self._visible = visible
            self.viewer.visible(visible)

    # ---- Keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        code, time = event.nativeScanCode(), event.timestamp()
        self._report_keys(self._repeats.press(code, time, event.isAutoRepeat()))

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        code, time = event.nativeScanCode(), event.timestamp()
        self._report_keys(self._repeats.release(code, time, event.isAutoRepeat()))
        self._releases.start()

    def _report_keys(self, events: list[KeyEvent]) -> None:
        for code, down, repeat in events:
            if (number := from_x11(code)) is not None:
                self.viewer.input.key(number, down, repeat)

    def focusNextPrevChild(self, forward: bool) -> bool:
        return False if self._guest_types else super().focusNextPrevChild(forward)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() is Qt.FocusReason.PopupFocusReason:
            self.viewer.input.popup(False)
        self.viewer.focused(True)
        self.entered.emit()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._report_keys(self._repeats.flush())
        if event.reason() is Qt.FocusReason.PopupFocusReason:
            self.viewer.input.popup(True)  # the window is still the active one
        else:
            self.viewer.focused(False)

    # ---- The pointer

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.viewer.moved(event.position().x(), event.position().y())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._button(event, True)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._button(event, True)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._button(event, False)

    def _button(self, event: QMouseEvent, down: bool) -> None:
        self.viewer.moved(event.position().x(), event.position().y())
        if (name := _BUTTONS.get(event.button())) is not None:
            self.viewer.input.button(name, down)

    def wheelEvent(self, event: QWheelEvent) -> None:
        right, up = event.angleDelta().x(), event.angleDelta().y()
        if event.modifiers() & Qt.KeyboardModifier.AltModifier:
            right, up = (
                up,
                right,
            )  # Qt swaps the axes while Alt is held; the guest must not see that
        self.viewer.input.wheel(-up / _NOTCH, -right / _NOTCH)

    def enterEvent(self, event: QEnterEvent) -> None:
        self.viewer.moved(event.position().x(), event.position().y())

    def leaveEvent(self, event: QEvent) -> None:
        self.viewer.input.left()

    # ---- Geometry

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        # The logical size stays when a window moves to a display of another ratio.
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self.viewer.resized()
        return done

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.viewer.resized()

    def device_size(self) -> tuple[int, int]:
        """Return width and height of the viewport in device pixels."""
        size = self.viewport().size()
        return device_size(size.width(), size.height(), self.devicePixelRatioF())

    def _scrolled(self) -> None:
        self.viewer.scrolled(self.horizontalScrollBar().value(), self.verticalScrollBar().value())

    def place(self, placement: Placement | None) -> None:
        """Implement `Backend.place`."""
        self._painter.placement = placement
        bars = self.horizontalScrollBar(), self.verticalScrollBar()
        room = placement.room if placement else (0, 0)
        for bar, far, page in zip(bars, room, self.device_size(), strict=True):
            bar.setPageStep(page)
            bar.setRange(0, far)

    # ---- Painting

    @property
    def frame(self) -> Frame | None:
        """The picture, in the machine's own memory; None without one."""
        return self._painter.frame

    @property
    def placement(self) -> Placement | None:
        """The picture's place in the viewport, device pixels; None without a picture."""
        return self._painter.placement

    def show_picture(self, frame: Frame | None) -> None:
        """Implement `Backend.show_picture`."""
        self._painter.show(frame)

    def on_painted(self, call: Callable[[], None] | None) -> None:
        """Implement `Backend.on_painted`."""
        self._painted = call

    def show_cursor(self, cursor: Cursor | None) -> None:
        """Implement `Backend.draw_cursor`."""
        self._painter.cursor = cursor

    def picture(self) -> QImage:
        """Return a copy of the guest's pixels with its cursor; a null image without a picture."""
        return self._painter.copy(self.viewer.cursor)

    def show_status(self, status: Status) -> None:
        """Implement `Backend.show_status`."""
        live = status.state in (ViewState.LIVE, ViewState.NO_PICTURE)
        self._guest_types = live and not status.view_only
        self.setAccessibleName(f"Screen of {one_line(status.name)}")
        self.setAccessibleDescription(one_line(status.message))
        self.status_changed.emit(status)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        ratio = self.devicePixelRatioF()
        painter.scale(1 / ratio, 1 / ratio)
        self._painter.paint(painter, self.device_size(), event.region(), ratio)
        painter.end()
        if self._painted is not None:
            self._painted()


class _QtBackend(Backend):
    """The contract's `Backend` on a `ScreenView`."""

    def __init__(self, view: ScreenView) -> None:
        self._view = view

    def post(self, call: Callable[[], None]) -> None:
        self._view._posted.emit(call)

    def view_size(self) -> tuple[int, int]:
        return self._view.device_size()

    def whole_size(self) -> tuple[int, int]:
        size = self._view.maximumViewportSize()
        return device_size(size.width(), size.height(), self.ratio())

    def bar_width(self) -> int:
        return math.ceil(self._view.verticalScrollBar().sizeHint().width() * self.ratio())

    def largest_size(self) -> tuple[int, int]:
        window, view = self._view.window(), self._view.viewport()
        around = window.frameGeometry().size() - view.size()
        room = self._view.screen().availableSize() - around
        return device_size(room.width(), room.height(), self.ratio())

    def ratio(self) -> float:
        return self._view.devicePixelRatioF()

    def frame_seconds(self) -> float:
        rate = self._view.screen().refreshRate()
        return 1 / (rate if rate > 1 else _USUAL_HZ)

    def show_picture(self, frame: Frame | None) -> None:
        self._view.show_picture(frame)

    def place(self, placement: Placement | None) -> None:
        self._view.place(placement)

    def repaint(self, rects: list[Rect] | None) -> None:
        viewport = self._view.viewport()
        if rects is None:
            viewport.update()
            return
        ratio, region = self.ratio(), QRegion()
        for rect in rects:
            region += QRect(*logical_rect(rect, ratio))
        # At once: Qt delays updates until the loop has no other events.
        viewport.repaint(region)

    def on_painted(self, call: Callable[[], None] | None) -> None:
        self._view.on_painted(call)

    def set_pointer(self, shape: PointerShape, cursor: Cursor | None, scale: float) -> None:
        self._view.viewport().setCursor(pointer(shape, cursor, scale, self.ratio()))

    def draw_cursor(self, cursor: Cursor | None) -> None:
        self._view.show_cursor(cursor)

    def grab(self, keyboard: bool, pointer: bool) -> None:
        if keyboard:
            self._view.grabKeyboard()
        else:
            self._view.releaseKeyboard()
        if pointer:
            self._view.viewport().grabMouse()
        else:
            self._view.viewport().releaseMouse()

    def warp(self, x: int, y: int) -> None:
        ratio = self.ratio()
        QCursor.setPos(self._view.viewport().mapToGlobal(QPoint(int(x / ratio), int(y / ratio))))

    def resize(self, width: int, height: int) -> None:
        cover = logical_rect(Rect(0, 0, width, height), self.ratio())
        self._view.size_wanted.emit(QSize(cover.width, cover.height))

    def show_status(self, status: Status) -> None:
        self._view.show_status(status)

    def notify(self, message: str) -> None:
        self._view.noted.emit(message)

    def command(self, command: ViewCommand) -> None:
        self._view.commanded.emit(command)
