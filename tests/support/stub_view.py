"""The shortest back end of a viewer: a view in memory, without a toolkit."""

from __future__ import annotations

import queue
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kju.client.consumer.frame import Frame
from kju.surface import Cursor
from kju.surface.consumer import blend_cursor
from kju.surface.geometry import Rect
from kju.viewers.contract import Backend, PointerShape, Status, ViewCommand
from kju.viewers.geometry import Placement


class StubView(Backend):
    """A view in memory.

    It paints into an array as a toolkit would: only the parts to repaint, nearest pixel.

    Attributes:
        canvas: Its pixels: ``(height, width, 4)`` uint8, B G R X.
        largest: Result of `largest_size`.
        notes: Messages of `notify`.
        commands: Commands so far.
    """

    def __init__(self, width: int, height: int, ratio: float = 1.0) -> None:
        self.size = width, height
        self.largest = width, height
        self._ratio = ratio
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._frame: Frame | None = None
        self._placement: Placement | None = None
        self._painted: Callable[[], None] | None = None
        self.canvas: npt.NDArray[np.uint8] = np.zeros((height, width, 4), np.uint8)
        self.status = Status("")
        self.pointer = PointerShape.ARROW
        self.cursor: Cursor | None = None
        self.notes: list[str] = []
        self.commands: list[ViewCommand] = []

    def run(self) -> None:
        """Run the posted calls: one turn of a toolkit's loop."""
        while not self._calls.empty():
            self._calls.get()()

    def post(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def view_size(self) -> tuple[int, int]:
        return self.size

    def largest_size(self) -> tuple[int, int]:
        return self.largest

    def ratio(self) -> float:
        return self._ratio

    def frame_seconds(self) -> float:
        return 1 / 60

    def show_picture(self, frame: Frame | None) -> None:
        self._frame = frame

    def place(self, placement: Placement | None) -> None:
        self._placement = placement

    def repaint(self, rects: list[Rect] | None) -> None:
        view = Rect(0, 0, *self.size)
        for rect in [view] if rects is None else rects:
            if (part := rect.intersection(view)) is not None:
                self._paint(part)
        if self._painted is not None:
            self._painted()

    def on_painted(self, call: Callable[[], None] | None) -> None:
        self._painted = call

    def _paint(self, part: Rect) -> None:
        here = self.canvas[part.y : part.bottom, part.x : part.right]
        here[:] = 0
        inside = self._placement and part.intersection(self._placement.target)
        if self._frame is None or self._placement is None or not inside:
            return
        columns = [self._placement.guest_pixel(x, 0)[0] for x in range(inside.x, inside.right)]
        rows = [self._placement.guest_pixel(0, y)[1] for y in range(inside.y, inside.bottom)]
        picture = np.array(self._frame)
        if self.cursor is not None:
            blend_cursor(picture, Rect(0, 0, picture.shape[1], picture.shape[0]), self.cursor)
        target = self.canvas[inside.y : inside.bottom, inside.x : inside.right]
        target[:] = picture[np.ix_(rows, columns)]

    def set_pointer(self, shape: PointerShape, cursor: Cursor | None, scale: float) -> None:
        self.pointer = shape

    def draw_cursor(self, cursor: Cursor | None) -> None:
        self.cursor = cursor

    def grab(self, keyboard: bool, pointer: bool) -> None:
        pass

    def warp(self, x: int, y: int) -> None:
        pass

    def resize(self, width: int, height: int) -> None:
        self.size = width, height
        self.canvas = np.zeros((height, width, 4), np.uint8)

    def show_status(self, status: Status) -> None:
        self.status = status

    def notify(self, message: str) -> None:
        self.notes.append(message)

    def command(self, command: ViewCommand) -> None:
        self.commands.append(command)
