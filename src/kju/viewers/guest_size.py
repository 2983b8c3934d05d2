"""Requests for a size of the guest that equals the view: on request, or sticky; their thread.

Rules of the sticky form:

- Only a change of the view leads to a request, never a change of the guest. So a guest that rounds
  the size, answers late, ignores it or takes another one later is asked once.
- The view does not take the guest's size meanwhile (`ViewPicture.follows`).
- A new machine is asked once.
- A refusal ends it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import KjuError
from .contract import Backend
from .geometry import usual_multiple
from .picture import ViewPicture

#: Smaller sizes are not asked for: a desktop in them cannot be used.
MIN_SIZE = (320, 200)


class GuestSize:
    """The size that the guest is asked for.

    Args:
        backend: The view.
        picture: Its picture.
        request: Sends a request for a width and a height; the newest wins.

    Attributes:
        sticky: The guest is asked again whenever the view's size changes.
        refusal: Why this guest cannot be asked; empty where it can, or that is not known yet.
    """

    def __init__(
        self,
        backend: Backend,
        picture: ViewPicture,
        request: Callable[[int, int], None],
    ) -> None:
        self._backend, self._picture, self._request = backend, picture, request
        self.sticky = False
        self.refusal = ""
        self._asked: tuple[int, int] | None = None

    @property
    def wanted(self) -> tuple[int, int]:
        """The size that fills the view at its usual scale."""
        multiple = usual_multiple(self._picture.scaling, self._backend.ratio())
        across, down = self._backend.whole_size()
        return max(MIN_SIZE[0], across // multiple), max(MIN_SIZE[1], down // multiple)

    def resize_once(self) -> None:
        """Ask the guest for the view's size."""
        self._ask(self.wanted)

    def set_sticky(self, on: bool) -> None:
        """Ask now and after each change of the view's size, or no longer."""
        if on == self.sticky:
            return
        self.sticky = on
        self._picture.follows = not on
        self._asked = None
        self.view_changed()

    def view_changed(self) -> None:
        """Take a change of the view's size, ratio or scaling."""
        if self.sticky and self._picture.mode is not None and self._asked != self.wanted:
            self._ask(self.wanted)

    def attached(self) -> None:
        """Take a new machine, which has not been asked; its first picture follows."""
        self._asked = None

    def set_refusal(self, reason: str) -> None:
        """Take the reason why this guest cannot be asked; empty where it can."""
        self.refusal = reason
        if reason:
            self.set_sticky(False)

    def failed(self, reason: str) -> None:
        """Take the reason why a request failed."""
        self.set_sticky(False)
        self._backend.notify(reason)

    def _ask(self, size: tuple[int, int]) -> None:
        self._asked = size
        self._request(*size)


class SizeSender:
    """Sends sizes, one request at a time; its thread ends when nothing is left to send.

    It is not the thread of `sender`: a host answers up to a quarter of a second later, and keys
    must not wait for that.

    Args:
        send: Sends one request and waits for its answer; called on the thread.
        on_error: Called on the thread with the reason why a request failed.
    """

    def __init__(
        self, send: Callable[[int, int], object], on_error: Callable[[str], object]
    ) -> None:
        self._send, self._on_error = send, on_error
        self._lock = threading.Lock()
        self._newest: tuple[int, int] | None = None
        self._running = False

    def request(self, width: int, height: int) -> None:
        """Send this size, in place of one that was not sent yet; return at once."""
        with self._lock:
            self._newest = (width, height)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="kju-size", daemon=True).start()

    def discard(self) -> None:
        """Forget a size that was not sent yet."""
        with self._lock:
            self._newest = None

    def _run(self) -> None:
        while True:
            with self._lock:
                size, self._newest = self._newest, None
                if size is None:
                    self._running = False
                    return
            try:
                self._send(*size)
            except (KjuError, OSError) as error:
                self._on_error(str(error))
