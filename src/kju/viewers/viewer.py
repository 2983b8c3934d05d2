"""One console of one machine in one view: everything that is decided, and no toolkit.

Rules:

- All of it runs on the toolkit's thread; what may wait is the connection's and the sender's.
- A picture is drawn from the surface's own memory. What is new is asked for when the last is
  handed to the toolkit, and not before the display's next picture.
- A view that cannot be seen is attached to nothing.
- What the guest holds down comes up when the view loses the focus, is hidden or closed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ..client.frame import Frame
from ..keys import from_x11
from ..protocol.messages import Role
from ..surface import Cursor, Mode, State
from ..surface.geometry import Rect, Region
from .connection import Connection, Seen, Wanted
from .contract import Backend, Status
from .geometry import Placement, Scaling, about, device_pixel, place, wanted_size
from .grab import RELEASE, Command, Keys
from .pointer import Pointing, Relative, Wheel, draws_cursor, window_cursor
from .sender import Ask, Button, Input, Key, MoveBy, MoveTo, Repeat, Turn

if TYPE_CHECKING:
    from ..keys import Step

CONNECTING = "connecting"


class Viewer:
    """Policy of one view.

    Args:
        backend: Draws, and has told us what happens.
        name: The machine's.
        console: Which of its screens.
        view_only: Look only: nothing is sent, and other clients keep the control.
        scaling: How large the picture is at first.
        release: The chord that takes and gives back the keyboard.

    Raises:
        UsageError: The release key names no keys.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        *,
        console: int = 0,
        view_only: bool = False,
        scaling: Scaling = Scaling.FIT,
        release: str = RELEASE,
    ) -> None:
        self.backend = backend
        self.name = name
        self.view_only = view_only
        self.scaling = scaling
        self.placement: Placement | None = None
        role: Role = "view" if view_only else "control"
        self._connection = Connection(name, console, role, self, backend.post)
        self._keys = Keys(release)
        self._relative, self._wheel = Relative(), Wheel()
        self._buttons: dict[str, None] = {}
        self._absolute = True
        self._inside = False
        self._clicked = False
        self._mode: Mode | None = None
        self._frame: Frame | None = None
        self._wanted = Wanted()
        self._cursor: Cursor | None = None
        self._drawn: Rect | None = None
        self._look: tuple[object, ...] = ()
        self._scrolled = (0, 0)
        self._sized_for: tuple[int, int] | None = None
        self._attached = False
        self._message = CONNECTING
        self._status: Status | None = None
        self._locks: tuple[str, ...] = ()

    # ---- What happens to the view

    def shown(self, visible: bool) -> None:
        """It can be seen, or cannot: hidden, minimised."""
        if visible:
            self._connection.open()
        else:
            self._let_go()
            self._connection.rest()

    def closed(self) -> None:
        """It goes. The machine does not."""
        self._let_go()
        self._connection.close()

    def focused(self, has_focus: bool) -> None:
        """It has the keyboard's focus, or has lost it."""
        if not has_focus:
            self._let_go()

    def resized(self) -> None:
        """Its size or its ratio is another."""
        self._place()

    def scrolled(self, x: int, y: int) -> None:
        """The user has scrolled to here."""
        if (x, y) != self._scrolled:
            self._scrolled = x, y
            self._place()

    def key(self, scan_code: int, down: bool, repeat: bool = False) -> None:
        """A key went down or up, or is said to while it is held: it repeats.

        Args:
            scan_code: As X11 and Wayland count keys: by their place, Linux's codes and 8.
            down: Or up.
            repeat: It was down before.
        """
        number = from_x11(scan_code)
        if number is None:
            return
        if repeat:
            if down and self._keys.repeats(number):
                self._send(Repeat(number))
            return
        for act in self._keys.press(number) if down else self._keys.release(number):
            if not isinstance(act, Command):
                self._send_step(act)
            elif act in (Command.GRAB, Command.UNGRAB):
                self.grab(act is Command.GRAB)
            else:
                self.backend.command(act)

    def moved(self, x: float, y: float) -> None:
        """The window's pointer is here: logical pixels of the view."""
        at = device_pixel(x, y, self.backend.ratio())
        if not self._inside:
            self._inside = True
            self._send(Ask())
            self._show_cursor()
        if self.placement is None:
            return
        if self._absolute:
            self._send(MoveTo(*self.placement.guest_pixel(*at)))
        elif self._keys.grabbed:
            distance = self._relative.moved(at, self.placement.scale)
            if any(distance):
                self._send(MoveBy(*distance))
            if (middle := self._relative.put_back(self.backend.view_size())) is not None:
                self.backend.warp(*middle)

    def left(self) -> None:
        """The window's pointer has left the view."""
        self._inside = False
        self._show_cursor()

    def button(self, name: str, down: bool) -> None:
        """A button went down or up, where the pointer was last."""
        self._keys.pointer_used()
        if not down:
            if name in self._buttons:
                del self._buttons[name]
                self._send(Button(name, False))
        elif not self._absolute and not self._keys.grabbed:
            # This click is the window's: it grabs, unless the guest has a tablet by now.
            self._clicked = True
            self._send(Ask())
        else:
            self._buttons[name] = None
            self._send(Button(name, True))

    def wheel(self, vertical: float, horizontal: float) -> None:
        """The wheel was turned by so many notches; positive is down and right."""
        self._keys.pointer_used()
        turned = self._wheel.turned(vertical, horizontal)
        if any(turned) and (self._absolute or self._keys.grabbed):
            self._send(Turn(*turned))

    # ---- What the user asks for

    def set_scaling(self, scaling: Scaling) -> None:
        """Draw the picture in another size."""
        self.scaling = scaling
        self._place()

    def grab(self, on: bool) -> None:
        """Give the guest the whole keyboard, and a relative pointer; or take them back."""
        if self.view_only or on == self._keys.grabbed:
            return
        self._keys.grabbed = on
        self._relative.begin()
        self.backend.grab(on, on and not self._absolute)
        if on:
            self.backend.notify(f"{self._keys.release_key} releases the keyboard")
        self._show_cursor()
        self._say()

    @property
    def grabbed(self) -> bool:
        """Whether the guest has the whole keyboard."""
        return self._keys.grabbed

    @property
    def release_key(self) -> str:
        """What takes and gives back the keyboard, as a user reads it."""
        return self._keys.release_key

    def press_chord(self, *numbers: int) -> None:
        """Press keys together that the window's own keyboard may not have, or not let through."""
        for step in [(n, True) for n in numbers] + [(n, False) for n in reversed(numbers)]:
            self._send_step(step)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG of the screen; the view says so when it is written."""
        self._connection.save(path, self.backend.notify)

    # ---- What the connection tells

    def attached(self, role: Role) -> None:
        """As `Listener.attached`."""
        self._attached = True
        self._clicked = False  # of before, when there was nobody to ask
        self._wanted = Wanted()
        self._send(Ask())
        self._connection.look(self._wanted)

    def seen(self, seen: Seen) -> None:
        """As `Listener.seen`."""
        change, everything = seen.change, seen.change.everything
        if everything:
            self._take_picture(seen)
        elif self.placement is not None:
            self._repaint(change.rects)
        self._message = self._why_not_live(seen)
        if seen.cursor is not None:
            self._cursor = seen.cursor
            self._show_cursor()
        self._say()
        cursor = self._cursor.version if self._cursor is not None else -1
        due = time.monotonic() + self.backend.frame_seconds()
        self._wanted = Wanted(change.mark, cursor, seen.state, due)
        self._connection.look(self._wanted)

    def lost(self, reason: str) -> None:
        """As `Listener.lost`; the last picture stays, and why it is the last one."""
        self._keys.let_go()
        self._buttons.clear()
        self.grab(False)
        if self._attached or self._message == CONNECTING:
            self._message = reason
        if self._attached and self._frame is not None:
            # The machine's memory is given back; the picture may stay for hours.
            self._show(self._frame.copy())
        self._attached = False
        self._say()

    def locks_are(self, names: tuple[str, ...]) -> None:
        """As `Listener.locks_are`."""
        self._locks = names
        self._say()

    def pointer_is(self, absolute: bool) -> None:
        """As `Listener.pointer_is`."""
        if absolute != self._absolute:
            self._absolute = absolute
            self._relative.begin()
            if self._keys.grabbed:
                self.backend.grab(True, not absolute)
            self._show_cursor()
        if self._clicked:
            self._clicked = False
            self.grab(not absolute)

    def failed(self, reason: str) -> None:
        """As `Listener.failed`."""
        self.backend.notify(reason)

    # ---- Pictures

    def _take_picture(self, seen: Seen) -> None:
        self._show(seen.frame)
        self._mode = self._frame.mode if self._frame is not None else None
        if self._mode is not None:
            self._follow_size(self._mode)
        self._place()
        self._send(Ask())  # another mode may be another driver, and its pointer

    def _show(self, frame: Frame | None) -> None:
        self._frame = frame
        self.backend.show_picture(frame)

    def _follow_size(self, mode: Mode) -> None:
        """A view of the size that the last mode wanted takes the size that this one wants."""
        most, now = self.backend.largest_size(), self.backend.view_size()
        if self._sized_for is None or about(now, self._sized_for):
            self._sized_for = wanted_size((mode.width, mode.height), most)
            if not about(now, self._sized_for):
                self.backend.resize(*self._sized_for)

    def _place(self) -> None:
        mode = self._mode
        self.placement = None
        if mode is not None:
            size = mode.width, mode.height
            self.placement = place(size, self.backend.view_size(), self.scaling, self._scrolled)
        self.backend.place(self.placement)
        self._drawn = self._cursor_rect()
        self.backend.repaint(None)
        self._show_cursor()
        self._say()

    def _repaint(self, rects: list[Rect]) -> None:
        assert self.placement is not None  # noqa: S101  the caller has just looked
        region = Region()
        for rect in rects:
            if (part := self.placement.device_rect(rect)) is not None:
                region.add(part)
        if region:
            self.backend.repaint(region.take())

    # ---- The cursor

    @property
    def _pointing(self) -> Pointing:
        return Pointing(not self.view_only, self._absolute, self._keys.grabbed, self._inside)

    def _show_cursor(self) -> None:
        """Give both cursors the look that is right now; what has not changed costs nothing."""
        cursor, placement = self._cursor, self.placement
        look = window_cursor(self._pointing, cursor)
        scale = placement.scale if placement else 1.0
        shape = cursor.shape.tobytes() if cursor is not None else b""
        hot = (cursor.hot_x, cursor.hot_y) if cursor is not None else ()
        shown = (look, scale, self.backend.ratio(), hot, shape)
        if shown != self._look:
            self._look = shown
            self.backend.set_pointer(look, cursor, scale)
        before, self._drawn = self._drawn, self._cursor_rect()
        self.backend.draw_cursor(cursor if self._drawn else None)
        if changed := [rect for rect in (before, self._drawn) if rect is not None]:
            self.backend.repaint(changed)

    def _cursor_rect(self) -> Rect | None:
        """The device pixels that the cursor covers, where it is drawn into the picture."""
        cursor = self._cursor
        if cursor is None or self.placement is None or not draws_cursor(self._pointing, cursor):
            return None
        height, width = cursor.shape.shape[:2]
        place = Rect(cursor.x - cursor.hot_x, cursor.y - cursor.hot_y, width, height)
        return self.placement.device_rect(place)

    # ---- Input

    def _send(self, item: Input) -> None:
        sender = self._connection.sender
        if sender is not None:
            sender.send(item)

    def _send_step(self, step: Step) -> None:
        self._send(Key(*step))

    def _let_go(self) -> None:
        for step in self._keys.let_go():
            self._send_step(step)
        for name in self._buttons:
            self._send(Button(name, False))
        self._buttons.clear()
        self.grab(False)

    # ---- Words

    def _say(self) -> None:
        size, scale = (0, 0), 1.0
        if self.placement is not None:
            size, scale = (self.placement.width, self.placement.height), self.placement.scale
        keys = self._keys
        status = Status(
            self.name,
            self._message,
            size,
            scale,
            keys.grabbed,
            self.view_only,
            keys.release_key,
            self._locks,
        )
        if status != self._status:
            self._status = status
            self.backend.show_status(status)

    def _why_not_live(self, seen: Seen) -> str:
        """What to say over the picture; nothing where it is live."""
        match seen.state:
            case State.PAUSED:
                return "paused"
            case State.UNAVAILABLE:
                return f"no picture: {seen.reason or 'the guest shows none'}"
            case State.GONE | State.CLOSED:
                return f"has ended: {seen.reason}" if seen.reason else "has ended"
        return "" if self._mode is not None else "no picture yet"
