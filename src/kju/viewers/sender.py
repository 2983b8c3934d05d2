"""Input on its way to a machine, from a window that must never wait for it.

A thread asks the host, one request after the other, so the order is that of the events. While
a request is under way (a host that is busy, a keyboard that takes a key every 10 ms) what
comes meanwhile is kept: keys, buttons and notches of the wheel one by one; of positions only
the newest, of distances the sum. asyncio would need its loop beside the toolkit's, and a
thread of its own all the same.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ..errors import ClosedError, InputError, KjuError, MachineGoneError, UsageError

# To let go of keys when the window closes; the host lets go of them anyway when we hang up.
_LAST_SECONDS = 1.0


class Keyboard(Protocol):
    """A machine's keyboard, as far as a window needs it."""

    def press(self, *keys: str | int) -> object:
        """Press keys."""

    def release(self, *keys: str | int) -> object:
        """Release keys."""


class Pointer(Protocol):
    """A machine's pointer, as far as a window needs it."""

    def is_absolute(self) -> bool:
        """Ask the host whether the guest takes positions."""

    def move(self, x: int, y: int) -> object:
        """Put it somewhere: surface pixels."""

    def move_by(self, dx: int, dy: int) -> object:
        """Move it: pixels, more or less."""

    def press(self, *buttons: str) -> object:
        """Press buttons."""

    def release(self, *buttons: str) -> object:
        """Release buttons."""

    def wheel(self, vertical: int, horizontal: int = 0) -> object:
        """Turn the wheel: notches, positive is down and right."""


class Key(NamedTuple):
    """One key goes down or up."""

    number: int
    down: bool


class Repeat(NamedTuple):
    """A key that is down goes down again."""

    number: int


class Button(NamedTuple):
    """One button goes down or up."""

    name: str
    down: bool


class MoveTo(NamedTuple):
    """The pointer is at a pixel."""

    x: int
    y: int


class MoveBy(NamedTuple):
    """The pointer was moved."""

    dx: int
    dy: int


class Turn(NamedTuple):
    """The wheel was turned."""

    vertical: int
    horizontal: int


class Ask(NamedTuple):
    """Whether the guest takes positions is to be asked."""


Input = Key | Repeat | Button | MoveTo | MoveBy | Turn | Ask


def merged(last: Input, new: Input) -> Input | None:
    """Two inputs that may be sent as one, or None: they may not."""
    if isinstance(last, MoveTo) and isinstance(new, MoveTo):
        return new
    if isinstance(last, MoveBy) and isinstance(new, MoveBy):
        return MoveBy(last.dx + new.dx, last.dy + new.dy)
    if isinstance(last, Ask) and isinstance(new, Ask):
        return new
    return None


class Sender:
    """Sends input to one console of a machine, from a thread that starts with the first.

    Args:
        keyboard: Where keys go.
        pointer: Where the rest goes.
        absolute: Told whether the guest takes positions; on the thread.
        failed: Told what could not be sent, in words; on the thread.
    """

    def __init__(
        self,
        keyboard: Keyboard,
        pointer: Pointer,
        absolute: Callable[[bool], None],
        failed: Callable[[str], None],
    ) -> None:
        self._keyboard, self._pointer = keyboard, pointer
        self._absolute, self._failed = absolute, failed
        self._more = threading.Condition()
        self._queue: deque[Input] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None

    def send(self, item: Input) -> None:
        """Have one input sent; returns at once."""
        with self._more:
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
            self._more.notify()

    def close(self) -> None:
        """Send what is left, for at most a second, and end."""
        with self._more:
            self._closed = True
            self._more.notify()
        if self._thread is not None:
            self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        while True:
            with self._more:
                while not self._queue:
                    if self._closed:
                        return
                    self._more.wait()
                item = self._queue.popleft()
            try:
                self._do(item)
            except (MachineGoneError, ClosedError):
                self._stop()
            except UsageError:
                # The guest's pointer is of the other kind by now: ask, and go on with that.
                if isinstance(item, (MoveTo, MoveBy)):
                    self.send(Ask())
            except (KjuError, OSError) as error:
                # A guest that reads no pointer is as common as a text screen: nothing to say.
                if not isinstance(error, InputError) or isinstance(item, (Key, Repeat)):
                    self._failed(str(error))

    def _stop(self) -> None:
        """There is nobody to send to: keep nothing for the next machine of this name."""
        with self._more:
            self._closed = True
            self._queue.clear()

    def _do(self, item: Input) -> None:
        pointer = self._pointer
        match item:
            case Key(number, down):
                (self._keyboard.press if down else self._keyboard.release)(number)
            case Repeat(number):
                self._keyboard.press(number)
            case Button(name, down):
                (pointer.press if down else pointer.release)(name)
            case MoveTo(x, y):
                pointer.move(x, y)
            case MoveBy(dx, dy):
                pointer.move_by(dx, dy)
            case Turn(vertical, horizontal):
                pointer.wheel(vertical, horizontal)
            case Ask():
                self._absolute(pointer.is_absolute())
