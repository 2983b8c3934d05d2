"""Contract between a `Viewer` and the toolkit that draws it.

A back end has one thread; every method but `Backend.post` is called on it. It reports the events
of its view to the `Viewer`, which makes all decisions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from ..client.consumer.frame import Frame
from ..surface import Cursor
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
