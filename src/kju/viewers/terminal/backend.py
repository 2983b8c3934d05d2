"""SHELL: the terminal back end. `Viewer` makes the decisions.

A dot, half a cell, is a device pixel. Painting is delayed to the end of a turn of the loop, so
that several updates cost one write.
"""

from __future__ import annotations

import collections
import contextlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...client.consumer.frame import Frame
from ...escaping import one_line
from ...surface import Cursor
from ...surface.consumer import blend_cursor
from ...surface.geometry import Rect
from ..contract import Backend, PointerShape, Status, ViewCommand
from ..geometry import Placement
from .canvas import Canvas
from .paint import Ability
from .status_line import Rate, fitted, status_parts
from .tty import Tty

if TYPE_CHECKING:
    import numpy.typing as npt

# More pictures cost more than anybody sees; an expensive picture leaves at least as much time to
# other programs as it took.
_PICTURES_PER_SECOND = 30
_NOTE_SECONDS = 3.0


class _CallQueue:
    """Calls for the loop's thread, and a descriptor that is readable while there are any."""

    def __init__(self) -> None:
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._wake, self._waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._wake

    def post(self, call: Callable[[], None]) -> None:
        """Add a call. Any thread may."""
        self._calls.append(call)
        # A full pipe is readable as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"\0")

    def run(self) -> None:
        """Run all calls."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake, 4096)
        while self._calls:
            self._calls.popleft()()


class TerminalBackend(Backend):
    """The contract's `Backend` on a terminal.

    Args:
        terminal: The terminal.
        ability: Its colours and characters.
        leave_hint: The effect of the leave key, for the status line.

    Attributes:
        commands: Commands that the loop has not executed yet.
    """

    can_warp = False

    def __init__(self, terminal: Tty, ability: Ability, leave_hint: str = "leaves") -> None:
        self._terminal = terminal
        self._canvas = Canvas(ability, *terminal.size())
        self._leave_hint = leave_hint
        self._calls = _CallQueue()
        self._frame: Frame | None = None
        self._cursor: Cursor | None = None
        self._status = Status("")
        self._note = ("", 0.0)  # and the time when it disappears
        self._cost = 0.0
        self._painted = 0  # the version of the last painting
        self._changes, self._drawn = Rate(), Rate()
        self._on_painted: Callable[[], None] | None = None
        self.commands: collections.deque[ViewCommand] = collections.deque()

    # ---- The loop

    def wait(self, seconds: float) -> bytes:
        """Run the posted calls and return typed bytes; wait for either, at most *seconds*."""
        typed = self._terminal.read(seconds, self._calls.fileno())
        self._calls.run()
        return typed

    def adopt_size(self) -> None:
        """Take the terminal's new size; the viewer places the picture anew."""
        self._canvas.resize(*self._terminal.size())

    def paint(self, version: int) -> None:
        """Write all changes.

        Args:
            version: Newest version that the viewer shows, for the status line.
        """
        began = time.monotonic()
        if version != self._painted:
            self._changes.add(began, max(0, version - self._painted) if self._painted else 1)
            self._drawn.add(began)
            self._painted = version
        line = self._status_line(began, version)
        data = self._canvas.paint(line)
        # The time to write is not a cost: it passes in the terminal, not on this processor.
        self._cost = max(time.monotonic() - began, self._cost * 0.9)
        self._terminal.write(data)
        if self._on_painted is not None:
            self._on_painted()

    def on_painted(self, call: Callable[[], None] | None) -> None:
        self._on_painted = call

    def _status_line(self, now: float, version: int) -> str:
        status = self._status
        if now < self._note[1]:
            parts = [one_line(self._note[0])]
        else:
            rates = self._changes.per_second(now), self._drawn.per_second(now)
            parts = status_parts(status, version, *rates)
        hint = f"{status.leave_key} {self._leave_hint}"
        return fitted(parts, status.key_hint if status.grabbed else hint, self._canvas.columns)

    # ---- `Backend`

    def post(self, call: Callable[[], None]) -> None:
        self._calls.post(call)

    def view_size(self) -> tuple[int, int]:
        return self._canvas.size

    def largest_size(self) -> tuple[int, int]:
        return self._canvas.size

    def ratio(self) -> float:
        return 1.0

    def frame_seconds(self) -> float:
        return max(1 / _PICTURES_PER_SECOND, 2 * self._cost)

    def show_picture(self, frame: Frame | None) -> None:
        self._frame = frame

    def place(self, placement: Placement | None) -> None:
        self._canvas.place(placement)

    def repaint(self, rects: list[Rect] | None) -> None:
        if self._frame is None:
            return
        began = time.monotonic()
        self._canvas.draw(rects, self._read)
        self._cost = time.monotonic() - began

    def _read(self, rect: Rect) -> npt.NDArray[np.uint8]:
        """Return the pixels of a rectangle, with the cursor."""
        frame = np.asarray(self._frame)
        pixels = frame[rect.y : rect.bottom, rect.x : rect.right]
        if self._cursor is not None and pixels.ndim == 3:
            pixels = pixels.copy()
            blend_cursor(pixels, rect, self._cursor)
        return pixels

    def set_pointer(self, shape: PointerShape, cursor: Cursor | None, scale: float) -> None:
        pass  # a terminal shows its own pointer

    def draw_cursor(self, cursor: Cursor | None) -> None:
        self._cursor = cursor

    def grab(self, keyboard: bool, pointer: bool) -> None:
        pass  # a terminal cannot take keys from the desktop; the viewer's state is enough

    def warp(self, x: int, y: int) -> None:
        pass  # `can_warp`

    def resize(self, width: int, height: int) -> None:
        pass  # the user decides about the size of a terminal

    def show_status(self, status: Status) -> None:
        self._status = status

    def notify(self, message: str) -> None:
        self._note = message, time.monotonic() + _NOTE_SECONDS

    def command(self, command: ViewCommand) -> None:
        self.commands.append(command)
