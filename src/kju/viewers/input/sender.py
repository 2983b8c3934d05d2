"""Queue and thread that send a view's input to a machine.

The view's thread must never wait for the host, so a thread sends one request after the other, in
the order of the events. While a request is under way (a busy host, a keyboard that takes a key
every 10 ms) later input is queued: every key, button and notch of the wheel; of positions only
the newest, of distances the sum. asyncio would need its loop beside the toolkit's, and a thread
as well.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ...errors import ClosedError, InputError, KjuError, MachineGoneError, UsageError

# Time to send the last releases when the view closes. The host releases keys by itself when the
# connection ends, so little is lost after it.
_CLOSE_TIMEOUT = 1.0


class KeyTarget(Protocol):
    """The part of a machine's keyboard that a view uses."""

    def press(self, *keys: str | int) -> object:
        """Press keys."""

    def release(self, *keys: str | int) -> object:
        """Release keys."""

    def type(self, text: str, *, layout: str = "us") -> object:
        """Type a text."""


class PointerTarget(Protocol):
    """The part of a machine's pointer that a view uses."""

    def is_absolute(self) -> bool:
        """Ask the host whether the guest takes positions."""

    def move(self, x: int, y: int) -> object:
        """Move to a surface pixel."""

    def move_by(self, dx: int, dy: int) -> object:
        """Move by a distance in pixels."""

    def press(self, *buttons: str) -> object:
        """Press buttons."""

    def release(self, *buttons: str) -> object:
        """Release buttons."""

    def wheel(self, vertical: int, horizontal: int = 0) -> object:
        """Turn the wheel: notches, positive is down and right."""


class SetKey(NamedTuple):
    """A key goes down or up."""

    number: int
    down: bool


class Repeat(NamedTuple):
    """A key that is down goes down again."""

    number: int


class InsertText(NamedTuple):
    """Characters to type on the guest's layout."""

    text: str


class SetButton(NamedTuple):
    """A button goes down or up."""

    name: str
    down: bool


class MoveTo(NamedTuple):
    """The pointer moves to a pixel."""

    x: int
    y: int


class MoveDistance(NamedTuple):
    """The pointer moves by a distance."""

    dx: int
    dy: int


class Turn(NamedTuple):
    """The wheel turns by notches."""

    vertical: int
    horizontal: int


class AskAbsolute(NamedTuple):
    """Ask the host whether the guest takes positions."""


Input = SetKey | Repeat | InsertText | SetButton | MoveTo | MoveDistance | Turn | AskAbsolute


def merged(last: Input, new: Input) -> Input | None:
    """Return one input in place of two, or None where both must be sent."""
    if isinstance(last, MoveTo) and isinstance(new, MoveTo):
        return new
    if isinstance(last, MoveDistance) and isinstance(new, MoveDistance):
        return MoveDistance(last.dx + new.dx, last.dy + new.dy)
    if isinstance(last, InsertText) and isinstance(new, InsertText):
        return InsertText(last.text + new.text)
    if isinstance(last, AskAbsolute) and isinstance(new, AskAbsolute):
        return new
    return None


class Sender:
    """Sends input to one console of a machine, on a thread that starts with the first input.

    Args:
        keyboard: Target of keys and texts.
        pointer: Target of the rest.
        on_absolute: Called on the thread with the answer to `AskAbsolute`.
        on_error: Called on the thread with the reason why an input was not sent.
        layout: The guest's keyboard layout, for texts.

    Attributes:
        sent_at: `time.monotonic` of the last `send`; `-inf` before the first.
    """

    def __init__(
        self,
        keyboard: KeyTarget,
        pointer: PointerTarget,
        on_absolute: Callable[[bool], None],
        on_error: Callable[[str], None],
        layout: str = "us",
    ) -> None:
        self._keyboard, self._pointer = keyboard, pointer
        self._on_absolute, self._on_error = on_absolute, on_error
        self._layout = layout
        self._changed = threading.Condition()
        self._queue: deque[Input] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        self.sent_at = -math.inf

    def send(self, item: Input) -> None:
        """Queue an input; return at once."""
        self.sent_at = time.monotonic()
        with self._changed:
            # A repeat that would have to wait is dropped: another one follows.
            if self._closed or (self._queue and isinstance(item, Repeat)):
                return
            together = merged(self._queue[-1], item) if self._queue else None
            if together is None:
                self._queue.append(item)
            else:
                self._queue[-1] = together
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="kju-input", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Send the rest, for at most a second, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closed:
                        return
                    self._changed.wait()
                item = self._queue.popleft()
            try:
                self._perform(item)
            except (MachineGoneError, ClosedError):
                self._discard()
            except UsageError as error:
                # The guest has changed between absolute and relative: ask for the new kind.
                if isinstance(item, (MoveTo, MoveDistance)):
                    self.send(AskAbsolute())
                elif isinstance(item, (SetKey, InsertText)):
                    self._on_error(str(error))
            except (KjuError, OSError) as error:
                # Many guests, such as text screens, read no pointer: report only keys.
                if not isinstance(error, InputError) or isinstance(
                    item, (SetKey, Repeat, InsertText)
                ):
                    self._on_error(str(error))

    def _discard(self) -> None:
        """Drop the queue: the next machine of this name must not get this one's input."""
        with self._changed:
            self._closed = True
            self._queue.clear()

    def _perform(self, item: Input) -> None:
        pointer = self._pointer
        match item:
            case SetKey(number, down):
                (self._keyboard.press if down else self._keyboard.release)(number)
            case Repeat(number):
                self._keyboard.press(number)
            case InsertText(text):
                self._keyboard.type(text, layout=self._layout)
            case SetButton(name, down):
                (pointer.press if down else pointer.release)(name)
            case MoveTo(x, y):
                pointer.move(x, y)
            case MoveDistance(dx, dy):
                pointer.move_by(dx, dy)
            case Turn(vertical, horizontal):
                pointer.wheel(vertical, horizontal)
            case AskAbsolute():
                self._on_absolute(pointer.is_absolute())
