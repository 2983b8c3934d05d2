"""The life of a viewer's connection: attached, looking, lost, attached again.

One thread does everything that may wait: it attaches, sleeps on the surface's futex, opens the
surface that follows a superseded one, notices the machine's end and awaits the next machine of
that name. What it finds it posts to the toolkit's thread, which asks for the next look when it
has shown the last: a slow display gets fewer and larger ones, and a view that nobody sees asks
for none. Then the connection is given back, so that the host need not compare either.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ..client.frame import Frame
from ..client.machine import Machine, attach
from ..client.screen import Screen
from ..client.targets import check_console
from ..errors import FormatError, KjuError, UnavailableError
from ..protocol.messages import Role
from ..surface import NOTHING_TAKEN, Change, Cursor, Mark, State
from .sender import Sender

# How long a machine's end, the view's end, or a machine that has started may go unnoticed.
_NOTICED = 0.25
_CLOSED = 2.0
# Between two questions for the lamps of the guest's keyboard; each takes the host 0.1 ms.
_LAMPS = 0.5


class Wanted(NamedTuple):
    """What a viewer has shown, so that only what is new is looked at.

    Attributes:
        mark: The pixels.
        cursor: The version of the cursor.
        state: What the producer said.
        not_before: `time.monotonic` of the display's next picture.
    """

    mark: Mark = NOTHING_TAKEN
    cursor: int = -1
    state: State | None = None
    not_before: float = 0.0


class Seen(NamedTuple):
    """What one look found.

    Attributes:
        change: Which pixels are new.
        frame: The pixels' memory, without a copy, where `change` is everything; else None. Also
            None where nothing has been published.
        cursor: The guest's cursor; None where it could not be read.
        state: What the producer says.
        reason: Why.
    """

    change: Change
    frame: Frame | None
    cursor: Cursor | None
    state: State
    reason: str


class Listener(Protocol):
    """Who is told, on the toolkit's thread."""

    def attached(self, role: Role) -> None:
        """There is a machine; it may be looked at, and sent input to."""

    def seen(self, seen: Seen) -> None:
        """Something is new."""

    def lost(self, reason: str) -> None:
        """The machine is gone, or was not there; the next of its name is awaited."""

    def pointer_is(self, absolute: bool) -> None:
        """Whether the guest takes positions."""

    def locks_are(self, names: tuple[str, ...]) -> None:
        """Which locks of the guest's keyboard are on."""

    def failed(self, reason: str) -> None:
        """Something that was asked for could not be done."""


class Connection:
    """One console of the machine of a name, for one viewer.

    Args:
        name: The machine's.
        console: Which of its screens.
        role: ``control``, or ``view`` to look only.
        listener: Who is told.
        post: Has a function called on the toolkit's thread, from any.
    """

    def __init__(
        self,
        name: str,
        console: int,
        role: Role,
        listener: Listener,
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self.name = name
        self.console = console
        self._role: Role = role
        self._listener = listener
        self._post = post
        self._turn = threading.Condition()
        self._open = False
        self._closed = False
        self._life = 0  # counts rests: what was found before one is not told after it
        self._wanted: Wanted | None = None
        self._machine: Machine | None = None
        self._thread: threading.Thread | None = None
        self.sender: Sender | None = None
        self._lamps_due = 0.0
        self._locks: tuple[str, ...] = ()

    # ---- The toolkit's thread

    def open(self) -> None:
        """Attach, now or as soon as there is a machine; `Listener.attached` follows."""
        with self._turn:
            self._open = True
            self._turn.notify_all()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="kju-view", daemon=True)
                self._thread.start()

    def rest(self) -> None:
        """Detach until `open`: nobody looks."""
        with self._turn:
            self._open = False
            self._life += 1
            self._wanted = None
            self._turn.notify_all()

    def look(self, wanted: Wanted) -> None:
        """Have the next thing that is new told to the listener, once."""
        with self._turn:
            self._wanted = wanted
            self._turn.notify_all()

    def close(self) -> None:
        """Let go of everything; the machine goes on.

        Returns when the thread has ended, unless a host keeps it waiting.
        """
        with self._turn:
            self._closed = True
            self._open = False
            self._life += 1
            self._turn.notify_all()
        if self._thread is not None:
            self._thread.join(_CLOSED)

    def save(self, path: str | os.PathLike[str], done: Callable[[str], None]) -> None:
        """Write a PNG of the screen as it is now, and say so: the path, or what went wrong."""
        machine = self._machine

        def work() -> None:
            try:
                if machine is None:
                    raise UnavailableError(f"the machine {self.name!r} does not run")
                screen = machine.screens[self.console]
                screen.refresh()
                screen.screenshot(path, cursor=True)
                said = f"saved {path}"
            except (KjuError, OSError) as error:
                said = f"no screenshot: {error}"
            self._post(lambda: done(said))

        threading.Thread(target=work, name="kju-save", daemon=True).start()

    # ---- Our own thread

    def _run(self) -> None:
        while (life := self._awake()) is not None:
            machine = None
            try:
                machine = attach(self.name, self._role)
                self._use(machine, life)
            except (KjuError, OSError) as error:
                gone = machine.end_reason if machine is not None else None
                self._lose(gone or str(error))
            finally:
                self._leave(machine)
            self._pause()

    def _awake(self) -> int | None:
        """Wait until there is somebody to look for; the number of this life, None at the end."""
        with self._turn:
            while not self._open and not self._closed:
                self._turn.wait()
            return None if self._closed else self._life

    def _pause(self) -> None:
        """Before the next attempt."""
        with self._turn:
            self._turn.wait_for(lambda: not self._open, _NOTICED)

    def _tell(self, call: Callable[[], None]) -> None:
        life = self._life

        def unless_over() -> None:
            if self._open and life == self._life:
                call()

        self._post(unless_over)

    def _use(self, machine: Machine, life: int) -> None:
        check_console(machine, self.console)
        screen = machine.screens[self.console]
        if self._role == "control":
            self.sender = self._make_sender(machine)
        self._machine = machine
        self._wanted = Wanted()
        self._tell(lambda: self._listener.attached(self._role))
        self._lamps_due = 0.0
        while self._open and life == self._life:
            if reason := machine.end_reason:
                self._show_last(screen)
                self._lose(reason)
                return
            with contextlib.suppress(KjuError):  # the machine has ended since
                self._ask_lamps(machine)
            with self._turn:
                wanted = self._wanted
                if wanted is None:
                    self._turn.wait(_NOTICED)
                    continue
            self._look(screen, wanted)

    def _lose(self, reason: str) -> None:
        self._tell(lambda: self._listener.lost(reason))

    def _make_sender(self, machine: Machine) -> Sender:
        def absolute(is_so: bool) -> None:
            self._tell(lambda: self._listener.pointer_is(is_so))

        def failed(reason: str) -> None:
            self._tell(lambda: self._listener.failed(reason))

        screen = machine.screens[self.console]
        return Sender(screen.keyboard, screen.pointer, absolute, failed)

    def _ask_lamps(self, machine: Machine) -> None:
        """Post which locks are on, now and then; a lock key may have been pressed by anybody."""
        now = time.monotonic()
        if self.sender is None or now < self._lamps_due:
            return
        self._lamps_due = now + _LAMPS
        lamps = machine.screens[self.console].keyboard.lamps()
        names = tuple(lamps.names) if lamps is not None else ()
        if names != self._locks:
            self._locks = names
            self._tell(lambda: self._listener.locks_are(names))

    def _look(self, screen: Screen, wanted: Wanted) -> None:
        """Post what is new, if anything is."""
        state = wanted.state
        if state is not None and not screen.wait_news(
            wanted.mark, wanted.cursor, state, seconds=_NOTICED
        ):
            return
        if (early := wanted.not_before - time.monotonic()) > 0:
            with self._turn:
                self._turn.wait_for(lambda: not self._open, early)
        seen = _seen(screen, wanted.mark)
        with self._turn:
            if self._wanted is wanted:
                self._wanted = None
        self._tell(lambda: self._listener.seen(seen))

    def _show_last(self, screen: Screen) -> None:
        """What was published just before the end has not been seen by anybody."""
        with contextlib.suppress(KjuError):
            seen = _seen(screen, NOTHING_TAKEN)
            self._tell(lambda: self._listener.seen(seen))

    def _leave(self, machine: Machine | None) -> None:
        sender, self.sender, self._machine = self.sender, None, None
        if sender is not None:
            sender.close()
        if machine is not None:
            machine.close()


def _seen(screen: Screen, mark: Mark) -> Seen:
    change = screen.changes_since(mark)
    state, reason = screen.state
    cursor, frame = None, None
    with contextlib.suppress(FormatError):
        cursor = screen.cursor
    if change.everything:
        with contextlib.suppress(UnavailableError):
            frame = screen.view()
    return Seen(change, frame, cursor, state, reason)
