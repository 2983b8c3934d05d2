"""Contract between a `Viewer` and the toolkit that draws it, and its shortest back end, `Stub`.

A back end has one thread; every method but `Backend.post` is called on it. It reports the events
of its view to the `Viewer`, which makes all decisions.
"""

from __future__ import annotations

import queue
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..client.consumer.frame import Frame
from ..surface import Cursor
from ..surface.consumer import blend_cursor
from ..surface.geometry import Rect
from .geometry import Placement


class ViewCommand(Enum):
    """A command from the user to the view."""

    GRAB = "grab"
    UNGRAB = "ungrab"
    FULL_SCREEN = "full screen"
    SCREENSHOT = "screenshot"
    CLOSE = "close"
    MENU = "menu"
    PASTE = "paste"
    COPY_TEXT = "copy text"
    LOUPE = "loupe"
    NUMBERS = "numbers"
    RECORD = "record"
    #: Show the app's wall of all machines.
    WALL = "wall"


class ViewState(Enum):
    """Relation of a view's picture to its target."""

    LIVE = "live"
    CONNECTING = "connecting"
    PAUSED = "paused"
    #: The target has no picture, or the picture is older than the target's.
    NO_PICTURE = "no picture"
    ENDED = "ended"


class PointerShape(Enum):
    """Shape of the view's pointer over the picture."""

    ARROW = "arrow"
    DOT = "dot"
    HIDDEN = "hidden"
    GUEST = "guest"


class Status(NamedTuple):
    """State that a view shows beside the picture.

    Attributes:
        name: The target's name.
        message: The reason why the picture is not live; empty where it is.
        size: Width and height of the picture; 0, 0 without one.
        scale: Device pixels per guest pixel, at every ratio of the display.
        grabbed: The guest has the whole keyboard.
        view_only: No input is sent to the guest.
        release_key: The keys that grab and release the keyboard, as a user reads them.
        leave_key: The keys that close the view, as a user reads them; may be empty.
        locks: Names of the guest's keyboard locks that are on.
        source: The source of the pixels; empty where it is unknown.
        state: Relation of the picture to the target.
        kind: The machine's kind, such as ``qemu``; empty where it is unknown.
        screens: Number of the machine's screens; 0 while unknown.
    """

    name: str
    message: str = ""
    size: tuple[int, int] = (0, 0)
    scale: float = 1.0
    grabbed: bool = False
    view_only: bool = False
    release_key: str = ""
    leave_key: str = ""
    locks: tuple[str, ...] = ()
    source: str = ""
    state: ViewState = ViewState.LIVE
    kind: str = ""
    screens: int = 0

    @property
    def title(self) -> str:
        """A window's title."""
        parts = [self.name, "kju"]
        if self.grabbed:
            parts.insert(1, self.key_hint)
        return " \N{EN DASH} ".join(parts)

    @property
    def key_hint(self) -> str:
        """The effect of the release key; empty in a view that sends no input."""
        if self.view_only:
            return ""
        verb = "releases" if self.grabbed else "grabs"
        return f"{self.release_key} {verb} the keyboard"

    @property
    def left_text(self) -> str:
        """The left side of a status line."""
        return f"{self.name}   {self.key_hint or 'view only'}"

    @property
    def lock_names(self) -> list[str]:
        """The locks as a user reads them."""
        return [f"{name.capitalize()} Lock" for name in self.locks]

    @property
    def right_text(self) -> str:
        """The right side of a status line."""
        if not all(self.size):
            return ""
        size = f"{self.size[0]} \N{MULTIPLICATION SIGN} {self.size[1]}   {self.scale:.0%}"
        return "   ".join([*self.lock_names, size])


class Backend(ABC):
    """A toolkit's view. Sizes, points and rectangles are device pixels of the view."""

    #: `warp` moves the pointer.
    can_warp = True
    #: Commands that `command` executes. The shortcut of any other command is input for the guest.
    shortcuts: frozenset[ViewCommand] = frozenset(
        {ViewCommand.FULL_SCREEN, ViewCommand.SCREENSHOT, ViewCommand.CLOSE}
    )

    @abstractmethod
    def post(self, call: Callable[[], None]) -> None:
        """Call a function on the toolkit's thread, in order. Any thread may post."""

    @abstractmethod
    def view_size(self) -> tuple[int, int]:
        """Return the view's width and height."""

    def whole_size(self) -> tuple[int, int]:
        """Return the view's width and height without scroll bars."""
        return self.view_size()

    def bar_width(self) -> int:
        """Return the width that a scroll bar takes from the view."""
        return 0

    @abstractmethod
    def largest_size(self) -> tuple[int, int]:
        """Return width and height of the largest view that fits this display."""

    @abstractmethod
    def ratio(self) -> float:
        """Return the device pixels per pixel of the toolkit."""

    @abstractmethod
    def frame_seconds(self) -> float:
        """Return the time between two pictures of the display."""

    @abstractmethod
    def show_picture(self, frame: Frame | None) -> None:
        """Draw from this memory from now on, without a copy; None: no picture.

        Drop every reference to the previous frame.
        """

    @abstractmethod
    def place(self, placement: Placement | None) -> None:
        """Draw the picture there from now on, and offer `Placement.room` for scrolling."""

    @abstractmethod
    def repaint(self, rects: list[Rect] | None) -> None:
        """Draw these parts of the view again soon; None: all of it."""

    @abstractmethod
    def on_painted(self, call: Callable[[], None] | None) -> None:
        """Call a function after each painting from now on; None: no more."""

    @abstractmethod
    def set_pointer(self, shape: PointerShape, cursor: Cursor | None, scale: float) -> None:
        """Set the shape of the view's pointer; *cursor* is the guest's, for `GUEST`."""

    @abstractmethod
    def draw_cursor(self, cursor: Cursor | None) -> None:
        """Draw this cursor into the picture, at its place, from the next painting on."""

    @abstractmethod
    def grab(self, keyboard: bool, pointer: bool) -> None:
        """Receive all keys, and all pointer events, of the display; False releases them."""

    @abstractmethod
    def warp(self, x: int, y: int) -> None:
        """Move the view's pointer to a point of the view, where `can_warp`."""

    @abstractmethod
    def resize(self, width: int, height: int) -> None:
        """Set the view's size, where the display lets a program do so."""

    @abstractmethod
    def show_status(self, status: Status) -> None:
        """Show the status beside the picture, and its message without hiding the picture."""

    @abstractmethod
    def notify(self, message: str) -> None:
        """Show a message for a few seconds."""

    @abstractmethod
    def command(self, command: ViewCommand) -> None:
        """Execute a command of the user. `GRAB` and `UNGRAB` have been executed already."""


class Stub(Backend):
    """A view in memory, without a toolkit; tests use it.

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
