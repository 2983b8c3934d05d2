"""One thread that sleeps on a surface's futex for all who wait in event loops."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..surface._core import WAIT_CAP_MS, Reader

# Whoever waits gives up after half a second at the latest and comes again; one who has not
# is in an event loop that was abandoned, and nobody else would ever take it off the list.
_ABANDONED_SECONDS = 2.0


class Notifier:
    """Calls back when a surface moves on from what a waiter has seen.

    The thread starts with the first waiter and ends within half a second of the last, so
    that a surface nobody waits for costs no thread; a waiter that is never removed counts for
    two seconds. Callbacks run on the thread and must only hand on
    (``loop.call_soon_threadsafe``).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiters: dict[int, tuple[Reader, int, int, Callable[[], None], float]] = {}
        self._next = 0
        self._running = False

    def add(self, reader: Reader, version: int, state: int, callback: Callable[[], None]) -> int:
        """Call *callback* when the version or state is no longer this one, perhaps twice."""
        with self._lock:
            self._next += 1
            expires = time.monotonic() + _ABANDONED_SECONDS
            self._waiters[self._next] = (reader, version, state, callback, expires)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="kju-notifier", daemon=True).start()
            number = self._next
        # The thread may already sleep on what another waiter has seen, which is newer.
        if reader.version != version or reader.state_code != state:
            callback()
        return number

    def remove(self, number: int) -> None:
        """Forget a waiter, called back or not."""
        with self._lock:
            self._waiters.pop(number, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                moved = [
                    (number, callback)
                    for number, (reader, version, state, callback, _) in self._waiters.items()
                    if reader.version != version or reader.state_code != state
                ]
                now = time.monotonic()
                old = [number for number, waiter in self._waiters.items() if waiter[-1] < now]
                for number in {*(number for number, _ in moved), *old}:
                    del self._waiters[number]
                if not self._waiters and not moved:
                    self._running = False
                    return
                # The newest surface's futex; waiters on one it replaced time out and move over.
                newest = next(reversed(self._waiters.values()), None)
            for _, callback in moved:
                callback()
            if newest is not None:
                reader, version, state, *_ = newest
                reader.wait(version, -1, state, WAIT_CAP_MS)
