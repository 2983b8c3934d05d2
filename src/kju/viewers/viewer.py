"""One target in one view: every decision, and no toolkit.

Rules:

- All of it runs on the toolkit's thread; the connection's and the sender's threads do the waiting.
- The picture is drawn from the surface's own memory. The next update is requested when the last
  one was handed to the toolkit; `Pacing` says when it may be drawn.
- A hidden view is attached to nothing.
- Keys and buttons that are down in the guest are released when the view loses the focus, is
  hidden or closes.
"""

from __future__ import annotations

import os
import time

from ..errors import KjuError
from ..surface import Cursor
from .connection import Connection, ScreenUpdate, Shown
from .contract import Backend, ViewCommand
from .geometry import Scaling
from .guest_size import GuestSize
from .input.grab import RELEASE
from .input.guest_input import GuestInput
from .input.sender import AskAbsolute, Input, SetKey
from .numbers import Numbers, Report, Usage
from .pacing import Pacing
from .picture import Cursors, ViewPicture
from .status import ViewStatus
from .targets import Facts, ViewerTarget


class Viewer:
    """Policy of one view.

    Args:
        backend: Draws, and reports events.
        target: The machine's console, or surface.
        scaling: Size of the picture at first.
        smooth: Mix pixels where the scale is not a whole multiple.
        release: The chord that grabs and releases the keyboard.
        leave: A chord that closes the view; none by default.
        follow: Wait for the next machine or producer of this name when one ends. Else the view
            gets the command to close, and `error` holds the reason.

    Attributes:
        picture: The picture, its place and its size in the view.
        guest_size: Asks the guest for the view's size.
        input: Takes the view's keyboard and pointer events.
        error: The reason why the view has closed itself.

    Raises:
        UsageError: A chord names no key.
    """

    def __init__(
        self,
        backend: Backend,
        target: ViewerTarget,
        *,
        scaling: Scaling = Scaling.FIT,
        smooth: bool = True,
        release: str = RELEASE,
        leave: str = "",
        follow: bool = True,
    ) -> None:
        self.backend = backend
        self._target = target
        self._follow = follow
        self.error: KjuError | OSError | None = None
        self._pacing = Pacing()
        self._connection = Connection(target, self, backend.post, self._pacing)
        self.picture = ViewPicture(backend, scaling, smooth=smooth)
        self._cursors = Cursors(backend, self.picture)
        self.guest_size = GuestSize(backend, self.picture, self._connection.request_size)
        self.input = GuestInput(
            backend, self._send, self._input_changed,
            controls=target.controls, release=release, leave=leave,
        )  # fmt: skip
        self._shown = Shown()
        self._attached = False
        self._status = ViewStatus(backend, target, self.picture, self.input, leave)
        self._numbers: Numbers | None = None

    @property
    def name(self) -> str:
        """The target's name."""
        return self._target.name

    @property
    def target(self) -> ViewerTarget:
        """The machine's console, or surface."""
        return self._target

    @property
    def view_only(self) -> bool:
        """True where no input is sent."""
        return not self._target.controls

    @property
    def version(self) -> int:
        """Newest version of the surface that was handed to the back end."""
        return self._shown.mark.version

    @property
    def cursor(self) -> Cursor | None:
        """The guest's cursor; None before the first."""
        return self._cursors.cursor

    # ---- Events of the view

    def visible(self, visible: bool) -> None:
        """Take whether the view can be seen; a hidden one detaches."""
        if visible:
            self._connection.open()
        else:
            self.input.release_all()
            self._connection.pause()

    def closed(self) -> None:
        """End the view. The machine keeps running."""
        self.input.release_all()
        self._connection.close()
        # A toolkit may keep the view for some time; the pixels of the machine are not its own.
        self.picture.release()

    def focused(self, has_focus: bool) -> None:
        """Take a change of the keyboard focus."""
        self.input.focused(has_focus)

    def resized(self) -> None:
        """Take a change of the view's size or ratio."""
        self._place()
        self.guest_size.view_changed()

    def scrolled(self, x: int, y: int) -> None:
        """Take the scroll offset that the user chose."""
        if self.picture.scroll(x, y):
            self._place()

    def moved(self, x: float, y: float) -> None:
        """Take the pointer's position in toolkit pixels of the view."""
        self.input.moved(x, y, self.picture.placement)

    # ---- Commands of the user

    @property
    def scaling(self) -> Scaling:
        """Size of the picture in the view."""
        return self.picture.scaling

    def set_scaling(self, scaling: Scaling) -> None:
        """Draw the picture in another size."""
        self.picture.scaling = scaling
        self._place()
        self.guest_size.view_changed()

    def set_smooth(self, smooth: bool) -> None:
        """Mix pixels where the scale is not a whole multiple, or show the nearest."""
        self.picture.smooth = smooth
        self._place()

    def set_view_only(self, on: bool) -> None:
        """Attach with the view role and send no input, or with the control role and send it."""
        if on == self.view_only:
            return
        self.input.set_controls(not on)
        self._target.controls = not on
        self._connection.reattach()
        self._status.show()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a PNG of the screen; the view shows a message when it is done."""
        self._connection.save(path, self.backend.notify)

    # ---- Numbers

    def show_numbers(self, on: bool) -> None:
        """Collect the figures of `numbers` from now on, or no more."""
        self._numbers = Numbers(time.monotonic()) if on else None
        self._target.with_numbers = on
        self.backend.on_painted(self._painted if on else None)

    def numbers(self) -> Report | None:
        """Return the figures of the last seconds; None while they are not collected."""
        if self._numbers is None:
            return None
        facts = self._status.facts
        usage = Usage(facts.host_cpu, time.process_time())
        return self._numbers.report(time.monotonic(), usage, facts.source)

    def _painted(self) -> None:
        if self._numbers is not None:
            self._numbers.painted(time.monotonic())

    def _send(self, item: Input) -> None:
        if self._numbers is not None and isinstance(item, SetKey) and item.down:
            self._numbers.pressed(time.monotonic())
        self._connection.send(item)

    # ---- `ConnectionListener`

    def attached(self) -> None:
        """Implement `ConnectionListener.attached`."""
        self._attached = True
        self._shown = Shown()
        self.guest_size.attached()
        self._connection.send(AskAbsolute())
        self._connection.request_update(self._shown)

    def updated(self, update: ScreenUpdate) -> None:
        """Implement `ConnectionListener.updated`."""
        if self._numbers is not None:
            self._numbers.updated(time.monotonic(), update.read, self.picture.share(update.change))
        if update.change.everything:
            self.picture.show(update.frame)
            self._place()
            self.guest_size.view_changed()
            # Another mode may be another driver, with another kind of pointer.
            self._connection.send(AskAbsolute())
        else:
            self.picture.repaint(update.change.rects)
        self._status.updated(update)
        if update.cursor is not None:
            self._cursors.set_cursor(update.cursor)
            self._cursors.show(self.input.pointing)
        self._status.show()
        frame = self.backend.frame_seconds()
        self._pacing.drew(time.monotonic(), frame)
        self._connection.set_rate(1 / frame)
        self._shown = Shown(update.change.mark, self._cursors.version, update.state)
        self._connection.request_update(self._shown)

    def lost(self, error: KjuError | OSError) -> None:
        """Implement `ConnectionListener.lost`; the last picture stays, with the reason."""
        self.input.forget()
        self._status.lost(error, attached=self._attached)
        if self._attached:
            self.picture.detach()
        self._attached = False
        self._status.show()
        if not self._follow and self.error is None:
            self.error = error
            self.backend.command(ViewCommand.CLOSE)

    def facts_are(self, facts: Facts) -> None:
        """Implement `ConnectionListener.facts_are`."""
        self._status.facts = facts
        self.guest_size.set_refusal(facts.no_resize)
        self._status.show()

    def pointer_is(self, absolute: bool) -> None:
        """Implement `ConnectionListener.pointer_is`."""
        self.input.set_absolute(absolute)

    def failed(self, reason: str) -> None:
        """Implement `ConnectionListener.failed`."""
        self.backend.notify(reason)

    def size_failed(self, reason: str) -> None:
        """Implement `ConnectionListener.size_failed`."""
        self.guest_size.failed(reason)

    def _place(self) -> None:
        self.picture.place()
        self._cursors.show(self.input.pointing)
        self._status.show()

    def _input_changed(self) -> None:
        self._cursors.show(self.input.pointing)
        self._status.show()
