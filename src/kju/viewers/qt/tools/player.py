"""A window that plays a recording, with the input of each moment beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QRect, QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QImage, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QSlider,
    QSplitter,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ....escaping import one_line
from ...tools.playback import PictureLoader, Timeline, event_words, precise_clock
from .. import icons
from ..background import QtBackground
from ..painting import BACKGROUND
from ..palette import GRID, plain_tooltip, tool_button

if TYPE_CHECKING:
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

_FIRST_SIZE = QSize(1080, 640)
_SIDE_WIDTH = 300
# Seconds that Page Up and Page Down jump.
_PAGE = 10.0
_KEYS = "Space plays and pauses; the arrow keys step by a frame; Page Up and Page Down by 10 s"


class PlayerWindow(QWidget):
    """A player of one video file.

    Args:
        path: The file.
        parent: A window that it stays with.
    """

    def __init__(self, path: str | os.PathLike[str], parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(one_line(f"{Path(path).name} \N{EN DASH} kju", 200))
        self._timeline = Timeline((0.0,), 0.0)
        self._at = 0.0
        self._clock = 0.0  # `time.monotonic` at the recording's begin, while it plays
        self._picture = _Picture()
        self._events = QListWidget()
        self._controls = _Controls(self)
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._tick)
        self._arrange()
        background = QtBackground(self)
        self._loader = PictureLoader(
            path, background.post, self._opened, self._show_picture, self._failed
        )
        self.resize(_FIRST_SIZE)
        self._controls.setFocus()

    def _arrange(self) -> None:
        self._events.setAccessibleName("Input")
        self._events.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._events.setTextElideMode(Qt.TextElideMode.ElideRight)
        self._events.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._events.itemActivated.connect(self._jump_to)
        self._events.itemClicked.connect(self._jump_to)
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(GRID, GRID, GRID, 0)
        title = QLabel("&Input")
        title.setBuddy(self._events)
        column.addWidget(title)
        column.addWidget(self._events, 1)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.addWidget(self._picture)
        split.addWidget(side)
        split.setStretchFactor(0, 1)
        split.setSizes([_FIRST_SIZE.width() - _SIDE_WIDTH, _SIDE_WIDTH])
        split.setChildrenCollapsible(False)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.setSpacing(0)
        whole.addWidget(split, 1)
        whole.addWidget(self._controls)

    # ---- State

    @property
    def timeline(self) -> Timeline:
        """The times of the recording; empty until it is open."""
        return self._timeline

    @property
    def frame(self) -> int:
        """The index of the frame at the present time."""
        return self._timeline.frame_at(self._at)

    @property
    def playing(self) -> bool:
        """True while the recording plays."""
        return self._clock > 0

    # ---- Commands

    def seek(self, seconds: float) -> None:
        """Show a moment."""
        self._at = min(max(seconds, 0.0), self._timeline.seconds)
        if self.playing:
            self._clock = time.monotonic() - self._at
        self._loader.want(self.frame)
        self._show_moment()

    def step(self, frames: int) -> None:
        """Pause, and show another frame."""
        self.pause()
        self.seek(self._timeline.times[self._timeline.step(self.frame, frames)])

    def _jump(self, seconds: float) -> None:
        """Show a moment before or after this one."""
        self.seek(self._at + seconds)

    def toggle(self) -> None:
        """Play, or pause; play from the begin at the end."""
        if self.playing:
            self.pause()
            return
        if self._at >= self._timeline.seconds:
            self.seek(0.0)
        self._clock = time.monotonic() - self._at
        self._controls.show_playing(True)
        self._tick()

    def pause(self) -> None:
        """Stop at the present moment."""
        self._clock = 0.0
        self._timer.stop()
        self._controls.show_playing(False)

    # ---- The loader's results

    def _opened(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._controls.set_seconds(timeline.seconds)
        for event in timeline.events:
            item = QListWidgetItem(one_line(event_words(event), 300))
            item.setToolTip(plain_tooltip(event_words(event)[:2000]))
            self._events.addItem(item)
        if timeline.note:
            self._events.addItem(one_line(timeline.note[:1].upper() + timeline.note[1:]))
            self._events.setEnabled(False)
        self.seek(0.0)

    def _show_picture(self, index: int, pixels: Pixels) -> None:
        self._picture.show_pixels(pixels)

    def _failed(self, reason: str) -> None:
        self.pause()
        self._picture.show_words(reason)
        if len(self._timeline.times) < 2:
            self._controls.setEnabled(False)

    # ---- Time

    def _tick(self) -> None:
        """Show the present moment, and sleep until the next frame or input is due."""
        self._at = min(time.monotonic() - self._clock, self._timeline.seconds)
        self._loader.want(self.frame)
        self._show_moment()
        if self._at >= self._timeline.seconds:
            self.pause()
            return
        times = self._timeline.times
        after = times[self.frame + 1] if self.frame + 1 < len(times) else self._timeline.seconds
        wait = min(max(after - self._at, 0.0), 0.1)  # the clock shows tenths
        self._timer.start(max(1, round(wait * 1000)))

    def _show_moment(self) -> None:
        self._controls.show_time(self._at, self.frame, len(self._timeline.times))
        event = self._timeline.event_at(self._at)
        if event is None:
            self._events.setCurrentRow(-1)
        elif self._events.currentRow() != event:
            self._events.setCurrentRow(event)

    def _jump_to(self, item: QListWidgetItem) -> None:
        row = self._events.row(item)
        if row < len(self._timeline.events):
            self.pause()
            self.seek(self._timeline.events[row].time)

    # ---- Events

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Space:
                self.toggle()
            case Qt.Key.Key_Left:
                self.step(-1)
            case Qt.Key.Key_Right:
                self.step(1)
            case Qt.Key.Key_PageUp:
                self._jump(-_PAGE)
            case Qt.Key.Key_PageDown:
                self._jump(_PAGE)
            case Qt.Key.Key_Home:
                self.seek(0.0)
            case Qt.Key.Key_End:
                self.seek(self._timeline.seconds)
            case Qt.Key.Key_Escape:
                self.close()
            case _:
                super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.pause()
        self.hide()
        self._loader.close()
        event.accept()


class _Controls(QWidget):
    """The row of buttons, the slider and the time."""

    def __init__(self, player: PlayerWindow) -> None:
        super().__init__()
        self._player = player
        self._play = self._button("start", "Play (Space)", player.toggle)
        back = self._button("frame-before", "Frame before (Left)", lambda: player.step(-1))
        forward = self._button("frame-after", "Next frame (Right)", lambda: player.step(1))
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName("Time")
        self._slider.setToolTip(_KEYS)
        self._slider.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the window has its keys
        self._slider.sliderMoved.connect(lambda value: player.seek(value / 1000))
        self._slider.actionTriggered.connect(self._moved_by_click)
        self._time = QLabel()
        self._time.setTextFormat(Qt.TextFormat.PlainText)
        self._time.setAccessibleName("Time and frame")
        row = QHBoxLayout(self)
        row.setContentsMargins(GRID, GRID, GRID, GRID)
        for button in (back, self._play, forward):
            row.addWidget(button)
        row.addWidget(self._slider, 1)
        row.addWidget(self._time)
        self._seconds = 0.0
        self.setFocusProxy(self._play)

    @staticmethod
    def _button(icon: str, words: str, act: Callable[[], None]) -> QToolButton:
        button = tool_button(icon, words)
        button.clicked.connect(lambda _=False: act())
        return button

    def set_seconds(self, seconds: float) -> None:
        """Set the duration."""
        self._seconds = seconds
        self._slider.setRange(0, max(1, round(seconds * 1000)))
        self._slider.setPageStep(round(_PAGE * 1000))

    def show_time(self, seconds: float, frame: int, frames: int) -> None:
        """Show a moment."""
        if not self._slider.isSliderDown():
            self._slider.setValue(round(seconds * 1000))
        self._time.setText(
            f"{precise_clock(seconds)} / {precise_clock(self._seconds)}   frame {frame + 1:,} of"
            f" {frames:,}"
        )

    def show_playing(self, playing: bool) -> None:
        """Show the effect of the button."""
        words = "Pause (Space)" if playing else "Play (Space)"
        self._play.setIcon(icons.icon("pause" if playing else "start"))
        self._play.setText(words)
        self._play.setAccessibleName(words)
        self._play.setToolTip(plain_tooltip(words))

    def _moved_by_click(self, action: int) -> None:
        if action != QSlider.SliderAction.SliderMove.value:
            self._player.seek(self._slider.sliderPosition() / 1000)


class _Picture(QWidget):
    """The picture of a moment, as large as it fits, or a message in its place."""

    def __init__(self) -> None:
        super().__init__()
        self._image = QImage()
        self._pixels: Pixels | None = None  # keeps the image's memory
        self._words = "Opening the recording"
        self.setAccessibleName("Picture")
        self.setMinimumSize(160, 120)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(800, 560)

    def show_pixels(self, pixels: Pixels) -> None:
        """Show a picture, B G R X."""
        height, width = pixels.shape[:2]
        self._pixels = pixels = np.ascontiguousarray(pixels)
        kind = QImage.Format.Format_RGB32
        self._image = QImage(pixels.data, width, height, pixels.strides[0], kind)
        self._words = ""
        self.update()

    def show_words(self, words: str) -> None:
        """Show a message."""
        self._words = words
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), BACKGROUND)
        if self._words or self._image.isNull():
            painter.setPen(Qt.GlobalColor.lightGray)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.rect().adjusted(16, 16, -16, -16), flags, one_line(self._words))
            return
        ratio = self.devicePixelRatioF()
        room = self.size() * ratio
        size = self._image.size()
        if size.width() > room.width() or size.height() > room.height():
            size = size.scaled(room, Qt.AspectRatioMode.KeepAspectRatio)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(1 / ratio, 1 / ratio)
        left, top = (room.width() - size.width()) // 2, (room.height() - size.height()) // 2
        painter.drawImage(QRect(left, top, size.width(), size.height()), self._image)
