"""What a toolkit does for a viewer. `stub` is the shortest one that works; `qt` the real one.

A back end has one thread, and is called on it alone, `Backend.post` apart. It tells its
`Viewer` what happens to the view; it decides nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from ..client.frame import Frame
from ..surface import Cursor
from ..surface.geometry import Rect
from .geometry import Placement
from .grab import Command
from .pointer import Look


class Status(NamedTuple):
    """What is said of a machine beside its picture.

    Attributes:
        name: The machine's.
        message: Why there is no live picture (it is paused, has ended ...); empty where there is.
        size: Width and height of the picture; 0, 0 without one.
        scale: Device pixels per guest pixel.
        grabbed: The guest has the keyboard.
        view_only: Nothing is sent to the guest.
        release_key: What gives the keyboard back, and takes it, as a user reads it.
        locks: The names of the guest's keyboard locks that are on.
    """

    name: str
    message: str = ""
    size: tuple[int, int] = (0, 0)
    scale: float = 1.0
    grabbed: bool = False
    view_only: bool = False
    release_key: str = ""
    locks: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """A window's title."""
        parts = [self.name, "kju"]
        if self.grabbed:
            parts.insert(1, f"{self.release_key} releases the keyboard")
        return " \N{EN DASH} ".join(parts)

    @property
    def words(self) -> str:
        """The left of a status line."""
        if self.view_only:
            return f"{self.name}   view only"
        verb = "releases" if self.grabbed else "grabs"
        return f"{self.name}   {self.release_key} {verb} the keyboard"

    @property
    def numbers(self) -> str:
        """The right of a status line."""
        if not all(self.size):
            return ""
        size = f"{self.size[0]} \N{MULTIPLICATION SIGN} {self.size[1]}   {self.scale:.0%}"
        return "   ".join([*(f"{name.capitalize()} Lock" for name in self.locks), size])


class Backend(ABC):
    """A view, for one viewer. Sizes, points and rectangles are device pixels of the view."""

    @abstractmethod
    def post(self, call: Callable[[], None]) -> None:
        """Have a function called on the toolkit's thread, in order. Any thread may ask."""

    @abstractmethod
    def view_size(self) -> tuple[int, int]:
        """Width and height of the view now."""

    @abstractmethod
    def largest_size(self) -> tuple[int, int]:
        """Width and height that the view could be given on this display."""

    @abstractmethod
    def ratio(self) -> float:
        """Device pixels per pixel of the toolkit."""

    @abstractmethod
    def frame_seconds(self) -> float:
        """Between two pictures of the display."""

    @abstractmethod
    def show_picture(self, frame: Frame | None) -> None:
        """Draw from this memory from now on, without a copy; None is no picture.

        What is held of the frame before is let go of.
        """

    @abstractmethod
    def place(self, placement: Placement | None) -> None:
        """Draw the picture there from now on, and offer `Placement.room` for scrolling."""

    @abstractmethod
    def repaint(self, rects: list[Rect] | None) -> None:
        """Draw these parts of the view again soon; None is all of it."""

    @abstractmethod
    def set_pointer(self, look: Look, cursor: Cursor | None, scale: float) -> None:
        """Give the window's pointer a look; *cursor* is the guest's for `Look.GUEST`."""

    @abstractmethod
    def draw_cursor(self, cursor: Cursor | None) -> None:
        """Draw this cursor into the picture, at its place, from the next painting on."""

    @abstractmethod
    def grab(self, keyboard: bool, pointer: bool) -> None:
        """Have all keys, and all of the pointer, come here; False gives them back."""

    @abstractmethod
    def warp(self, x: int, y: int) -> None:
        """Put the window's pointer at a point of the view."""

    @abstractmethod
    def resize(self, width: int, height: int) -> None:
        """Give the view this size, where the window may choose its own."""

    @abstractmethod
    def show_status(self, status: Status) -> None:
        """Say this beside the picture; a message over it."""

    @abstractmethod
    def notify(self, words: str) -> None:
        """Say something for a moment."""

    @abstractmethod
    def command(self, command: Command) -> None:
        """Do what the user asked for with keys; of grabbing it is only told."""
