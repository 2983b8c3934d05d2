"""A thread that sends the newest wanted size of a guest's screen.

Not the thread of `sender`: a host answers up to a quarter of a second later, and keys must not wait
for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import KjuError


class SizeSender:
    """Sends sizes, one request at a time; the thread ends when nothing is left to send.

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
