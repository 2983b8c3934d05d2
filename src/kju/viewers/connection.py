"""A viewer's connection to its target: attach, wait for news, detach, attach again.

One thread does everything that may wait: it attaches, sleeps on the surface's futex, opens the
surface that replaces a superseded one, notices the target's end and waits for the next machine
of that name. It posts its results to the view's thread, which requests the next update when it
has shown the last one: a slow display gets fewer and larger updates. `Pacing` delays updates that
the display would not show. A hidden view pauses its connection, which detaches, so that the host
need not compare pixels for it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from ..client.consumer.frame import Frame
from ..client.surface import Surface
from ..errors import FormatError, KjuError, UnavailableError
from ..surface import NOTHING_TAKEN, Change, Cursor, Mark, State
from .guest_size import SizeSender
from .input.sender import AskAbsolute, Input
from .pacing import Pacing
from .targets import Attachment, Facts, ViewerTarget

# Longest delay before the thread notices a target's end, a new target, or the view's end.
_POLL_SECONDS = 0.25
_CLOSE_TIMEOUT = 2.0
# A host publishes about as often without a viewer that states its rate.
_USUAL_RATE = 40


class Shown(NamedTuple):
    """State that a viewer shows; an update contains newer state.

    Attributes:
        mark: Mark of the pixels.
        cursor: Version of the cursor.
        state: The producer's state.
    """

    mark: Mark = NOTHING_TAKEN
    cursor: int = -1
    state: State | None = None


class ScreenUpdate(NamedTuple):
    """New pixels, cursor and state.

    Attributes:
        change: The pixels that are new.
        frame: The pixels' memory, without a copy, where `change` is everything; else None. None
            as well before the first picture.
        cursor: The guest's cursor; None where it cannot be read.
        state: The producer's state.
        reason: The producer's reason for it.
        read: `time.monotonic` of the reading.
    """

    change: Change
    frame: Frame | None
    cursor: Cursor | None
    state: State
    reason: str
    read: float


class ConnectionListener(Protocol):
    """Callbacks of a connection, on the view's thread."""

    def attached(self) -> None:
        """Take a new attachment; updates may be requested and input sent."""

    def updated(self, update: ScreenUpdate) -> None:
        """Take the update that was requested."""

    def lost(self, error: KjuError | OSError) -> None:
        """Take the target's end, or the failure to attach; attaching is repeated until `close`."""

    def facts_are(self, facts: Facts) -> None:
        """Take new facts."""

    def pointer_is(self, absolute: bool) -> None:
        """Take the kind of the guest's pointer."""

    def failed(self, reason: str) -> None:
        """Take the reason why an input was not sent."""

    def size_failed(self, reason: str) -> None:
        """Take the reason why the guest was not asked for a size."""


class Connection:
    """The connection of one viewer.

    Args:
        target: The machine's console, or surface.
        listener: Takes the results.
        post: Calls a function on the view's thread, from any thread.
        pacing: The times of the updates.
    """

    def __init__(
        self,
        target: ViewerTarget,
        listener: ConnectionListener,
        post: Callable[[Callable[[], None]], None],
        pacing: Pacing,
    ) -> None:
        self._target = target
        self._listener = listener
        self._post = post
        self._pacing = pacing
        self._changed = threading.Condition()
        self._open = False
        self._closed = False
        self._session = 0  # counts pauses: results of an earlier session are dropped
        self._request: Shown | None = None
        self._attachment: Attachment | None = None
        self._thread: threading.Thread | None = None
        self._facts = Facts()
        self._rate: float | None = None
        self._sizes = SizeSender(self._resize, self._size_failed)

    # ---- The view's thread

    def open(self) -> None:
        """Attach, now or as soon as the target exists; `ConnectionListener.attached` follows."""
        with self._changed:
            self._open = True
            self._changed.notify_all()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="kju-view", daemon=True)
                self._thread.start()

    def pause(self) -> None:
        """Detach until `open`."""
        with self._changed:
            self._end_session()

    def reattach(self) -> None:
        """Detach, and attach again where the view is open.

        `ConnectionListener.attached` follows.
        """
        with self._changed:
            was_open = self._open
            self._end_session()
            self._open = was_open

    def set_rate(self, rate: float) -> None:
        """Tell the host how often this display shows a picture, where it is more than usual."""
        self._rate = float(round(rate)) if rate > _USUAL_RATE else None

    def request_update(self, shown: Shown) -> None:
        """Request one `ConnectionListener.updated` with everything newer than *shown*."""
        with self._changed:
            self._request = shown
            self._changed.notify_all()

    def send(self, item: Input) -> None:
        """Send an input; dropped where the target takes none or is not attached."""
        attachment = self._attachment
        if attachment is None or attachment.sender is None:
            return
        attachment.sender.send(item)
        if not isinstance(item, AskAbsolute):
            self._pacing.note_input(time.monotonic())
            with self._changed:
                self._changed.notify_all()  # an update that waits for its time may be due now

    def request_size(self, width: int, height: int) -> None:
        """Ask the guest for a size; the newest wins.

        `ConnectionListener.size_failed` takes an error.
        """
        self._sizes.request(width, height)

    def close(self) -> None:
        """Detach for good; the machine keeps running.

        Returns when the thread has ended, or after two seconds where a host does not answer.
        """
        with self._changed:
            self._closed = True
            self._end_session()
        if self._thread is not None:
            self._thread.join(_CLOSE_TIMEOUT)

    def save(self, path: str | os.PathLike[str], done: Callable[[str], None]) -> None:
        """Write a PNG of the screen as it is now; pass *done* a message about the result."""
        attachment = self._attachment

        def work() -> None:
            try:
                if attachment is None:
                    raise UnavailableError(f"{self._target.name!r} is not running")
                attachment.save(os.fspath(path))
                message = f"saved {path}"
            except (KjuError, OSError) as error:
                message = f"cannot save the screenshot: {error}"
            self._post(lambda: done(message))

        threading.Thread(target=work, name="kju-save", daemon=True).start()

    def _end_session(self) -> None:
        self._open = False
        self._sizes.discard()
        self._session += 1
        self._request = None
        self._changed.notify_all()

    # ---- The connection's thread

    def _run(self) -> None:
        while (session := self._wait_until_open()) is not None:
            try:
                self._use(self._target.attach(self), session)
            except (KjuError, OSError) as error:
                self._post_lost(error)
            finally:
                self._detach()
            with self._changed:
                self._changed.wait_for(lambda: not self._open, _POLL_SECONDS)

    def _wait_until_open(self) -> int | None:
        """Return the session's number when the view is open, None when it is closed."""
        with self._changed:
            while not self._open and not self._closed:
                self._changed.wait()
            return None if self._closed else self._session

    def _post_current(self, call: Callable[[], None]) -> None:
        """Post a call, unless the session has ended by the time the view's thread runs it."""
        session = self._session

        def call_if_current() -> None:
            if self._open and session == self._session:
                call()

        self._post(call_if_current)

    def _use(self, attachment: Attachment, session: int) -> None:
        screen, self._request = attachment.screen, Shown()
        self._attachment = attachment
        self._post_current(self._listener.attached)
        rate: float | None = None
        while self._open and session == self._session:
            try:
                attachment.check()
            except KjuError:
                # The last pixels before the end have not been shown yet.
                with contextlib.suppress(KjuError):
                    self._post_update(screen, NOTHING_TAKEN)
                raise
            self._post_facts(attachment)
            if rate != self._rate:
                rate = self._rate
                attachment.set_rate(rate)
            with self._changed:
                request = self._request
                if request is None:
                    self._changed.wait(_POLL_SECONDS)
                    continue
            self._answer(screen, request)

    def _post_lost(self, error: KjuError | OSError) -> None:
        self._post_current(lambda: self._listener.lost(error))

    def _post_facts(self, attachment: Attachment) -> None:
        facts = attachment.facts()
        if facts != self._facts:
            self._facts = facts
            self._post_current(lambda: self._listener.facts_are(facts))

    def _answer(self, screen: Surface, request: Shown) -> None:
        """Post an update if there is anything newer than the request."""
        mark, cursor, state = request
        if state is not None and not screen.wait_news(mark, cursor, state, seconds=_POLL_SECONDS):
            return
        self._wait_until_due()
        update = _read_update(screen, mark)
        with self._changed:
            if self._request is request:
                self._request = None
        self._post_current(lambda: self._listener.updated(update))

    def _wait_until_due(self) -> None:
        with self._changed:
            while self._open:
                if (early := self._pacing.due - time.monotonic()) <= 0:
                    return
                self._changed.wait(early)

    def _post_update(self, screen: Surface, mark: Mark) -> None:
        update = _read_update(screen, mark)
        self._post_current(lambda: self._listener.updated(update))

    def _detach(self) -> None:
        attachment, self._attachment = self._attachment, None
        if attachment is not None:
            attachment.close()

    # ---- The thread of `SizeSender`

    def _resize(self, width: int, height: int) -> None:
        attachment = self._attachment
        if attachment is not None:
            attachment.resize(width, height)

    def _size_failed(self, reason: str) -> None:
        self._post_current(lambda: self._listener.size_failed(reason))

    # ---- The sender's thread: `InputEvents`

    def pointer_is(self, absolute: bool) -> None:
        """Post the kind of the guest's pointer."""
        self._post_current(lambda: self._listener.pointer_is(absolute))

    def failed(self, reason: str) -> None:
        """Post the reason why an input was not sent."""
        self._post_current(lambda: self._listener.failed(reason))


def _read_update(screen: Surface, mark: Mark) -> ScreenUpdate:
    """Return everything on a screen that is newer than a mark."""
    read = time.monotonic()
    change = screen.changes_since(mark)
    state, reason = screen.state
    cursor, frame = None, None
    with contextlib.suppress(FormatError):
        cursor = screen.cursor
    if change.everything:
        with contextlib.suppress(UnavailableError):
            frame = screen.view()
    return ScreenUpdate(change, frame, cursor, state, reason or "", read)
